// Package dnsserver is a real authoritative DNS server for tests: it answers
// over UDP and TCP on one loopback port, its records can be changed while it
// runs, and it misbehaves on request.
//
//	s, err := dnsserver.Start()
//	...
//	defer s.Close()
//	s.SetSRV("_etcd-client._tcp.example.", 5*time.Second,
//		dnsserver.SRV{Port: 2379, Target: "m1.example."})
//	s.SetA("m1.example.", 5*time.Second, "127.0.0.1")
//	resolveWith(s.Addr())
//
// # What it answers
//
// It is authoritative for every name. A name that has no records, and none
// below it, does not exist (NXDOMAIN); one that lacks the type asked for
// exists without data (NODATA): NOERROR and no answer. Both carry an SOA
// record, whose negative TTL is 0 unless the zone has an SOA of its own
// (RFC 2308). Aliases are followed as far as the server knows them, and a loop
// of aliases ends the answer. The addresses of an SRV record's targets come
// along in the additional section (RFC 2782), which SetAdditional(false) stops.
//
// An answer over UDP that exceeds the client's limit, 512 bytes or what its
// EDNS0 record says (RFC 6891), is truncated and marked so; the client has to
// ask again over TCP. Additional records that do not fit are left out without
// the mark (RFC 2181, section 9).
//
// Not there: wildcards, DNSSEC, zone transfers, delegation, dynamic updates.
package dnsserver
