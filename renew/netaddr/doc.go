// Package netaddr says to which addresses keypaird connects when another party chose
// them: a redirect, a document, the directory of a CA, or DNS records that are not the
// operator's.
//
// The rule: what is configured may be anywhere, and what follows from it may be as
// private as that, but no more. A public domain or CA leads to public addresses only; one
// with private addresses leads to private and public ones; one on loopback, which is this
// machine, to all three. So a CA, or a domain, of one's own network works, and no
// document makes keypaird speak to a service of that network or of this machine. The
// hosts below a domain may be anywhere, too, unless a redirect leads there: its owner
// chose their addresses, perhaps with a resolver that has others for his own network.
//
//	public     all others
//	private    10/8 172.16/12 192.168/16 100.64/10 192.0.0/24 198.18/15 fc00::/7 fec0::/10 64:ff9b:1::/48
//	loopback   127/8 ::1
//	never      0/8 169.254/16 224/4 240/4 :: fe80::/10 ff00::/8
//
// An address that stands for an IPv4 address is what that is, if that is more private:
// IPv4-mapped (::ffff:0:0/96), IPv4-compatible (::/96), NAT64 (64:ff9b::/96), 6to4
// (2002::/16), Teredo (2001::/32) and ISATAP.
//
// The rule is applied to the address of a connection, not of a look-up before it: a name
// may have other addresses at the next one (DNS rebinding).
package netaddr
