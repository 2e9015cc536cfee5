// Package kernel is the only package that speaks netlink: nftables, NFQUEUE, NFLOG, conntrack, links and neighbours.
//
// It turns the pure values of package enforcer into kernel objects and back. It must not decide anything about
// policy, must not run other programs, must not touch any table but those named enforcer.TableName (and a scratch
// table without base chains while probing), and must not keep more state than it needs to be fast.
package kernel
