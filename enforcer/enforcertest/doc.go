// Package enforcertest has what tests of policies share: one small site with its hosts, a builder of MUD files, and a
// table of packets with what must happen to each. The same table runs on enforcer.Memory and on a real kernel.
//
// Only tests may import it. It must not speak to the network or to a kernel.
package enforcertest
