package output

import (
	"fmt"
	"io"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

// simple is the default format, for people and shell scripts.
type simple struct {
	out, err  io.Writer
	hex       bool
	valueOnly bool
}

func (s *simple) Put(r *pb.PutResponse) error {
	var p page
	s.put(&p, r)
	return p.to(s.out)
}

func (s *simple) Get(r *pb.RangeResponse) error {
	var p page
	s.pairs(&p, r.GetKvs())
	return p.to(s.out)
}

func (s *simple) Delete(r *pb.DeleteRangeResponse) error {
	var p page
	s.deleted(&p, r)
	return p.to(s.out)
}

func (s *simple) Txn(r *pb.TxnResponse) error {
	var p page
	if r.GetSucceeded() {
		p.ln("SUCCESS")
	} else {
		p.ln("FAILURE")
	}
	for _, op := range r.GetResponses() {
		p.ln()
		switch v := op.GetResponse().(type) {
		case *pb.ResponseOp_ResponsePut:
			s.put(&p, v.ResponsePut)
		case *pb.ResponseOp_ResponseRange:
			s.pairs(&p, v.ResponseRange.GetKvs())
		case *pb.ResponseOp_ResponseDeleteRange:
			s.deleted(&p, v.ResponseDeleteRange)
		default:
			p.f("unexpected response %+v\n", op)
		}
	}
	return p.to(s.out)
}

func (s *simple) Watch(r *pb.WatchResponse) error {
	var p page
	for _, e := range r.GetEvents() {
		p.ln(e.GetType())
		if kv := e.GetPrevKv(); kv != nil {
			s.pair(&p, kv)
		}
		s.pair(&p, e.GetKv())
	}
	return p.to(s.out)
}

func (s *simple) put(p *page, r *pb.PutResponse) {
	p.ln("OK")
	if kv := r.GetPrevKv(); kv != nil {
		s.pair(p, kv)
	}
}

func (s *simple) deleted(p *page, r *pb.DeleteRangeResponse) {
	p.ln(r.GetDeleted())
	s.pairs(p, r.GetPrevKvs())
}

func (s *simple) pairs(p *page, kvs []*mvccpb.KeyValue) {
	for _, kv := range kvs {
		s.pair(p, kv)
	}
}

func (s *simple) pair(p *page, kv *mvccpb.KeyValue) {
	if !s.valueOnly {
		p.ln(s.bytes(kv.GetKey()))
	}
	p.ln(s.bytes(kv.GetValue()))
}

// bytes formats a key or a value: unchanged, or each byte as \xNN.
func (s *simple) bytes(b []byte) string {
	if !s.hex {
		return string(b)
	}
	var sb strings.Builder
	for _, c := range b {
		fmt.Fprintf(&sb, `\x%02x`, c)
	}
	return sb.String()
}

func (s *simple) LeaseGrant(r *pb.LeaseGrantResponse) error {
	var p page
	p.f("lease %016x granted with TTL(%ds)\n", r.GetID(), r.GetTTL())
	return p.to(s.out)
}

func (s *simple) LeaseRevoke(id int64, _ *pb.LeaseRevokeResponse) error {
	var p page
	p.f("lease %016x revoked\n", id)
	return p.to(s.out)
}

func (s *simple) LeaseKeepAlive(r *pb.LeaseKeepAliveResponse) error {
	var p page
	p.f("lease %016x keepalived with TTL(%d)\n", r.GetID(), r.GetTTL())
	return p.to(s.out)
}

func (s *simple) LeaseTimeToLive(r *pb.LeaseTimeToLiveResponse, keys bool) error {
	var p page
	// With this response the server says that there is no such lease.
	if r.GetGrantedTTL() == 0 && r.GetTTL() == -1 {
		p.f("lease %016x already expired\n", r.GetID())
		return p.to(s.out)
	}
	p.f("lease %016x granted with TTL(%ds), remaining(%ds)", r.GetID(), r.GetGrantedTTL(), r.GetTTL())
	if keys {
		// A list in brackets, with one space between items, whatever they
		// contain.
		p.f(", attached keys(%s)", r.GetKeys())
	}
	p.ln()
	return p.to(s.out)
}

func (s *simple) LeaseList(r *pb.LeaseLeasesResponse) error {
	var p page
	p.f("found %d leases\n", len(r.GetLeases()))
	for _, l := range r.GetLeases() {
		p.f("%016x\n", l.GetID())
	}
	return p.to(s.out)
}

func (s *simple) LeaseEnded(id int64) error {
	var p page
	p.f("lease %016x expired or revoked.\n", id)
	return p.to(s.out)
}

func (s *simple) MemberList(r *pb.MemberListResponse) error {
	_, rows := memberRows(r)
	return s.rows(rows)
}

func (s *simple) EndpointHealth(hs []EndpointHealth) error {
	var p, bad page
	for _, h := range hs {
		if h.Error == "" {
			p.f("%s is healthy: successfully committed proposal: took = %s\n", h.Endpoint, h.Took)
		} else {
			bad.f("%s is unhealthy: failed to commit proposal: %s\n", h.Endpoint, h.Error)
		}
	}
	if err := p.to(s.out); err != nil {
		return err
	}
	return bad.to(s.err)
}

func (s *simple) EndpointStatus(ss []EndpointStatus) error {
	_, rows := statusRows(ss)
	return s.rows(rows)
}

func (s *simple) rows(rows [][]string) error {
	var p page
	for _, r := range rows {
		p.ln(strings.Join(r, ", "))
	}
	return p.to(s.out)
}
