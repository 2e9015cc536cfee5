// Package acceptance holds the tests that judge mudguard from outside: the real program on a gateway, real DHCP clients,
// real DNS, a manufacturer's web server and real packets, each set-up in network namespaces of its own.
//
// It needs root and a few programs, and skips without them; where CI=true, that is a failure. Nothing of the host's own
// network is touched.
package acceptance
