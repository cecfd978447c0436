package dnsserver

import (
	"bytes"
	"time"

	"github.com/miekg/dns"
)

// serve answers one query. It counts the query first, so that a test that waits
// for it can rely on the count.
func (s *Server) serve(stopping <-chan struct{}, w dns.ResponseWriter, query *dns.Msg, network string) {
	b, reply := s.answer(query, network)
	if b.delay > 0 {
		timer := time.NewTimer(b.delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-stopping:
			return
		}
	}
	if b.drop {
		return
	}
	// If the client is gone, or the answer cannot be encoded, that looks like a
	// lost packet to the client. There is nobody to report it to.
	if b.garbage == NoGarbage {
		_ = w.WriteMsg(reply)
		return
	}
	_, _ = w.Write(spoil(b.garbage, query, reply))
}

// answer makes the correct answer, and returns the server's current behavior with
// it.
func (s *Server) answer(query *dns.Msg, network string) (behavior, *dns.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	question := query.Question[0] // the server's MsgAcceptFunc makes sure that there is exactly one
	name := dns.CanonicalName(question.Name)
	s.counts[Question{name, dns.Type(question.Qtype).String(), network}]++
	close(s.asked)
	s.asked = make(chan struct{})

	b := s.behavior
	reply := new(dns.Msg)
	reply.SetReply(query)
	reply.Compress = true
	reply.Authoritative = true
	limit := dns.MaxMsgSize
	if network == "udp" {
		limit = dns.MinMsgSize
	}
	if opt := query.IsEdns0(); opt != nil {
		// RFC 6891, section 6.1.1: the answer to a query with EDNS0 has an OPT
		// record, too.
		reply.SetEdns0(uint16(min(b.udpSize, dns.MaxMsgSize)), false)
		if opt.Version() != 0 {
			reply.Rcode = dns.RcodeBadVers
			return b, reply
		}
		if network == "udp" {
			limit = max(dns.MinMsgSize, min(int(opt.UDPSize()), b.udpSize))
		}
	}
	switch {
	case b.rcode != dns.RcodeSuccess:
		reply.Rcode = b.rcode
		return b, reply
	case question.Qclass != dns.ClassINET && question.Qclass != dns.ClassANY:
		reply.Rcode = dns.RcodeRefused
		return b, reply
	}

	answer, exists := s.zone.find(name, question.Qtype)
	reply.Answer = withCaseOf(question.Name, answer)
	if !exists {
		reply.Rcode = dns.RcodeNameError
	}
	if !exists || !answers(answer, question.Qtype) {
		reply.Ns = []dns.RR{s.zone.authority(name)}
	}
	if b.truncate && network == "udp" {
		reply.Answer, reply.Ns, reply.Truncated = nil, nil, true
		return b, reply
	}
	reply.Truncate(limit)
	reply.Compress = true
	if !b.withoutExtras && !reply.Truncated {
		for _, rr := range s.zone.additional(answer) {
			reply.Extra = append(reply.Extra, rr)
			if reply.Len() > limit {
				reply.Extra = reply.Extra[:len(reply.Extra)-1]
				break
			}
		}
	}
	return b, reply
}

// answers reports whether the records include the requested type, and not only
// aliases that lead nowhere.
func answers(records []dns.RR, rtype uint16) bool {
	for _, rr := range records {
		if rtype == dns.TypeANY || rr.Header().Rrtype == rtype {
			return true
		}
	}
	return false
}

// withCaseOf gives the records of the queried name the letter case of the query,
// as servers do. A client may compare them with its query.
func withCaseOf(asked string, records []dns.RR) []dns.RR {
	out := make([]dns.RR, len(records))
	for i, rr := range records {
		out[i] = rr
		if h := rr.Header(); h.Name != asked && dns.CanonicalName(h.Name) == dns.CanonicalName(asked) {
			out[i] = dns.Copy(rr)
			out[i].Header().Name = asked
		}
	}
	return out
}

// spoil returns the bytes of a wrong answer.
func spoil(g Garbage, query, reply *dns.Msg) []byte {
	switch g {
	case GarbageID:
		reply.Id++
	case GarbageQuestion:
		reply.Question[0].Name = "not-asked." + reply.Question[0].Name
	case GarbageQuery:
		reply = query
	default:
	}
	packed, err := reply.Pack()
	if err != nil || g == GarbageBytes {
		return bytes.Repeat([]byte{0xff, 0x00, 0xa5}, 20)
	}
	const headerSize = 12
	switch g {
	case GarbageShort:
		return packed[:headerSize-4]
	case GarbageCut:
		return packed[:max(headerSize, len(packed)-5)]
	case GarbagePointerLoop:
		// One question, whose name is a pointer (RFC 1035, section 4.1.4) to its
		// own position.
		return append(packed[:headerSize:headerSize], 0xc0, headerSize, 0, byte(dns.TypeA), 0, dns.ClassINET)
	default:
		return packed
	}
}
