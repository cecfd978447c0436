package dnsserver

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// maxAliases is the maximum number of CNAME records that one answer follows.
const maxAliases = 16

// SRV is the data of one SRV record (RFC 2782).
type SRV struct {
	Priority, Weight, Port uint16
	// Target is the name of the host. "." means that the service is not
	// available.
	Target string
}

// zone has all records of the server, by name and type. Names are absolute and in
// lower case. It is not safe for concurrent use.
type zone struct {
	records map[string]map[uint16][]dns.RR
	serial  uint32
}

func newZone() *zone { return &zone{records: make(map[string]map[uint16][]dns.RR)} }

// set replaces the records of one name and type. Without records, it removes
// them.
func (z *zone) set(name string, rtype uint16, records []dns.RR) {
	z.serial++
	if len(records) == 0 {
		delete(z.records[name], rtype)
		if len(z.records[name]) == 0 {
			delete(z.records, name)
		}
		return
	}
	if z.records[name] == nil {
		z.records[name] = make(map[uint16][]dns.RR)
	}
	z.records[name][rtype] = records
}

// exists reports whether the name, or a name below it, has records: a name exists
// if a name below it exists (RFC 8020).
func (z *zone) exists(name string) bool {
	for owner := range z.records {
		if dns.IsSubDomain(name, owner) {
			return true
		}
	}
	return false
}

// find returns the answer to a question, following aliases, and whether the last
// name in the chain exists.
func (z *zone) find(name string, rtype uint16) (answer []dns.RR, exists bool) {
	seen := make(map[string]bool)
	for range maxAliases {
		if seen[name] {
			return answer, true
		}
		seen[name] = true
		sets := z.records[name]
		if rtype == dns.TypeANY {
			for _, t := range slices.Sorted(maps.Keys(sets)) {
				answer = append(answer, sets[t]...)
			}
			return answer, z.exists(name)
		}
		if found := sets[rtype]; len(found) > 0 {
			return append(answer, found...), true
		}
		alias, ok := firstAlias(sets)
		if !ok {
			return answer, z.exists(name)
		}
		answer = append(answer, alias)
		name = dns.CanonicalName(alias.Target)
	}
	return answer, true
}

func firstAlias(sets map[uint16][]dns.RR) (*dns.CNAME, bool) {
	for _, rr := range sets[dns.TypeCNAME] {
		if alias, ok := rr.(*dns.CNAME); ok {
			return alias, true
		}
	}
	return nil, false
}

// additional returns the addresses of the targets of SRV records.
func (z *zone) additional(answer []dns.RR) []dns.RR {
	var extra []dns.RR
	seen := make(map[string]bool)
	for _, rr := range answer {
		srv, ok := rr.(*dns.SRV)
		if !ok {
			continue
		}
		target := dns.CanonicalName(srv.Target)
		if seen[target] {
			continue
		}
		seen[target] = true
		extra = append(extra, z.records[target][dns.TypeA]...)
		extra = append(extra, z.records[target][dns.TypeAAAA]...)
	}
	return extra
}

// authority returns the SOA record for a negative answer: the closest one in the
// zone at or above the name, or a generated one for the root.
func (z *zone) authority(name string) dns.RR {
	for off, end := 0, false; !end; off, end = dns.NextLabel(name, off) {
		if soa := z.records[name[off:]][dns.TypeSOA]; len(soa) > 0 {
			return soa[0]
		}
	}
	if soa := z.records["."][dns.TypeSOA]; len(soa) > 0 {
		return soa[0]
	}
	return &dns.SOA{
		Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeSOA, Class: dns.ClassINET},
		Ns:  "ns.invalid.", Mbox: "hostmaster.invalid.",
		Serial: z.serial, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: 0,
	}
}

// String returns the zone in the text form of RFC 1035, sorted by name.
func (z *zone) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(z.records)) {
		sets := z.records[name]
		for _, rtype := range slices.Sorted(maps.Keys(sets)) {
			for _, rr := range sets[rtype] {
				b.WriteString(rr.String())
				b.WriteByte('\n')
			}
		}
	}
	return b.String()
}

// parseZone parses a zone in the text form of RFC 1035, without $INCLUDE.
func parseZone(text string) (*zone, error) {
	z := newZone()
	parser := dns.NewZoneParser(strings.NewReader(text), "", "")
	parser.SetIncludeAllowed(false)
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		name, rtype := dns.CanonicalName(rr.Header().Name), rr.Header().Rrtype
		z.set(name, rtype, append(z.records[name][rtype], rr))
	}
	if err := parser.Err(); err != nil {
		return nil, fmt.Errorf("dnsserver: the zone: %w", err)
	}
	return z, nil
}

// parseName checks a name and returns it as an absolute name, with its letter
// case.
func parseName(name string) (string, error) {
	if _, ok := dns.IsDomainName(name); !ok || name == "" {
		return "", fmt.Errorf("dnsserver: %q is not a domain name", name)
	}
	return dns.Fqdn(name), nil
}

// parseTTL returns a TTL in seconds.
func parseTTL(ttl time.Duration) (uint32, error) {
	// RFC 2181, section 8: at most 2^31 - 1.
	if ttl < 0 || ttl%time.Second != 0 || ttl/time.Second > math.MaxInt32 {
		return 0, fmt.Errorf("dnsserver: the TTL %v is not a whole number of seconds from 0 to %d", ttl, math.MaxInt32)
	}
	return uint32(ttl / time.Second), nil
}

// header checks the name and TTL of records and returns their header.
func header(name string, rtype uint16, ttl time.Duration) (dns.RR_Header, error) {
	name, err := parseName(name)
	if err != nil {
		return dns.RR_Header{}, err
	}
	seconds, err := parseTTL(ttl)
	return dns.RR_Header{Name: name, Rrtype: rtype, Class: dns.ClassINET, Ttl: seconds}, err
}

// parseRecords makes the records of one name and type from their text.
func parseRecords(name, typ string, ttl time.Duration, values []string) (uint16, []dns.RR, error) {
	rtype, ok := dns.StringToType[strings.ToUpper(typ)]
	if !ok || rtype == dns.TypeANY {
		return 0, nil, fmt.Errorf("dnsserver: %q is not a type that a record can have", typ)
	}
	h, err := header(name, rtype, ttl)
	if err != nil {
		return 0, nil, err
	}
	records := make([]dns.RR, len(values))
	for i, value := range values {
		rr, err := dns.NewRR(fmt.Sprintf("%s %d IN %s %s", h.Name, h.Ttl, dns.TypeToString[rtype], value))
		if err == nil && rr == nil {
			err = errors.New("no data")
		}
		if err != nil {
			return 0, nil, fmt.Errorf("dnsserver: %s record %q of %s: %w", typ, value, name, err)
		}
		records[i] = rr
	}
	return rtype, records, nil
}

// parseAddresses makes A or AAAA records.
func parseAddresses(name string, rtype uint16, ttl time.Duration, addresses []string) ([]dns.RR, error) {
	h, err := header(name, rtype, ttl)
	if err != nil {
		return nil, err
	}
	records := make([]dns.RR, len(addresses))
	for i, address := range addresses {
		ip, err := netip.ParseAddr(address)
		if err != nil || ip.Zone() != "" || ip.Is4() != (rtype == dns.TypeA) {
			return nil, fmt.Errorf("dnsserver: %s record of %s: %q is not an address of that kind", dns.TypeToString[rtype], name, address)
		}
		if rtype == dns.TypeA {
			records[i] = &dns.A{Hdr: h, A: ip.AsSlice()}
		} else {
			records[i] = &dns.AAAA{Hdr: h, AAAA: ip.AsSlice()}
		}
	}
	return records, nil
}
