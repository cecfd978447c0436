// Package dnsserver is a real authoritative DNS server for tests. It answers over
// UDP and TCP on one loopback port. Its records can be changed while it runs, and
// it misbehaves on request.
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
// It is authoritative for every name. A name does not exist (NXDOMAIN) if neither
// it nor any name below it has records. If a name has records, but none of the
// queried type, the response is NODATA: NOERROR and an empty answer. Both
// responses have an SOA record, whose negative TTL is 0 unless the zone has its
// own SOA record (RFC 2308). The server follows aliases as far as it knows them;
// a loop of aliases ends the answer. The additional section has the addresses of
// an SRV record's targets (RFC 2782), unless SetAdditional(false) turns that off.
//
// An answer over UDP that exceeds the client's limit, 512 bytes or what its EDNS0
// record says (RFC 6891), is truncated and marked as such; the client has to
// repeat the query over TCP. Additional records that do not fit are left out
// without the mark (RFC 2181, section 9).
//
// It does not support wildcards, DNSSEC, zone transfers, delegation or dynamic
// updates.
package dnsserver
