package output

import (
	"fmt"
	"io"
	"strconv"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

// fields prints one `"Name" : value` per line, for awk and for people who look
// for one number.
type fields struct {
	refusal
	out io.Writer
	hex bool
}

func (f *fields) Put(r *pb.PutResponse) error {
	var p page
	f.put(&p, r)
	return p.to(f.out)
}

func (f *fields) Get(r *pb.RangeResponse) error {
	var p page
	f.get(&p, r)
	return p.to(f.out)
}

func (f *fields) Delete(r *pb.DeleteRangeResponse) error {
	var p page
	f.deleted(&p, r)
	return p.to(f.out)
}

func (f *fields) Txn(r *pb.TxnResponse) error {
	var p page
	f.header(&p, r.GetHeader())
	p.field("Succeeded", r.GetSucceeded())
	for _, op := range r.GetResponses() {
		switch v := op.GetResponse().(type) {
		case *pb.ResponseOp_ResponsePut:
			f.put(&p, v.ResponsePut)
		case *pb.ResponseOp_ResponseRange:
			f.get(&p, v.ResponseRange)
		case *pb.ResponseOp_ResponseDeleteRange:
			f.deleted(&p, v.ResponseDeleteRange)
		default:
			p.quoted("Unknown", fmt.Sprintf("%+v", v))
		}
	}
	return p.to(f.out)
}

func (f *fields) Watch(r *pb.WatchResponse) error {
	var p page
	f.header(&p, r.GetHeader())
	for _, e := range r.GetEvents() {
		p.field("Type", e.GetType())
		if kv := e.GetPrevKv(); kv != nil {
			f.pair(&p, "Prev", kv)
		}
		f.pair(&p, "", e.GetKv())
	}
	return p.to(f.out)
}

func (f *fields) put(p *page, r *pb.PutResponse) {
	f.header(p, r.GetHeader())
	if kv := r.GetPrevKv(); kv != nil {
		f.pair(p, "Prev", kv)
	}
}

func (f *fields) get(p *page, r *pb.RangeResponse) {
	f.header(p, r.GetHeader())
	for _, kv := range r.GetKvs() {
		f.pair(p, "", kv)
	}
	p.field("More", r.GetMore())
	p.field("Count", r.GetCount())
}

func (f *fields) deleted(p *page, r *pb.DeleteRangeResponse) {
	f.header(p, r.GetHeader())
	p.field("Deleted", r.GetDeleted())
	for _, kv := range r.GetPrevKvs() {
		f.pair(p, "Prev", kv)
	}
}

func (f *fields) pair(p *page, prefix string, kv *mvccpb.KeyValue) {
	p.quoted(prefix+"Key", string(kv.GetKey()))
	p.field(prefix+"CreateRevision", kv.GetCreateRevision())
	p.field(prefix+"ModRevision", kv.GetModRevision())
	p.field(prefix+"Version", kv.GetVersion())
	p.quoted(prefix+"Value", string(kv.GetValue()))
	f.lease(p, prefix+"Lease", kv.GetLease())
}

// header omits the revision if there is none: the responses of the cluster
// service have none.
func (f *fields) header(p *page, h *pb.ResponseHeader) {
	f.id(p, "ClusterID", h.GetClusterId())
	f.id(p, "MemberID", h.GetMemberId())
	if h.GetRevision() > 0 {
		p.field("Revision", h.GetRevision())
	}
	p.field("RaftTerm", h.GetRaftTerm())
}

// id prints a cluster or member ID. In hexadecimal it is not padded.
func (f *fields) id(p *page, name string, id uint64) {
	if f.hex {
		p.field(name, strconv.FormatUint(id, 16))
		return
	}
	p.field(name, id)
}

// lease prints a lease ID. In hexadecimal it is padded to sixteen digits.
func (f *fields) lease(p *page, name string, id int64) {
	if f.hex {
		p.field(name, fmt.Sprintf("%016x", id))
		return
	}
	p.field(name, id)
}

func (f *fields) LeaseGrant(r *pb.LeaseGrantResponse) error {
	var p page
	f.header(&p, r.GetHeader())
	f.lease(&p, "ID", r.GetID())
	p.field("TTL", r.GetTTL())
	return p.to(f.out)
}

func (f *fields) LeaseRevoke(_ int64, r *pb.LeaseRevokeResponse) error {
	var p page
	f.header(&p, r.GetHeader())
	return p.to(f.out)
}

func (f *fields) LeaseKeepAlive(r *pb.LeaseKeepAliveResponse) error {
	var p page
	f.header(&p, r.GetHeader())
	f.lease(&p, "ID", r.GetID())
	p.field("TTL", r.GetTTL())
	return p.to(f.out)
}

func (f *fields) LeaseTimeToLive(r *pb.LeaseTimeToLiveResponse, _ bool) error {
	var p page
	f.header(&p, r.GetHeader())
	f.lease(&p, "ID", r.GetID())
	p.field("TTL", r.GetTTL())
	p.field("GrantedTTL", r.GetGrantedTTL())
	for _, k := range r.GetKeys() {
		p.quoted("Key", string(k))
	}
	return p.to(f.out)
}

func (f *fields) LeaseList(r *pb.LeaseLeasesResponse) error {
	var p page
	f.header(&p, r.GetHeader())
	for _, l := range r.GetLeases() {
		f.lease(&p, "ID", l.GetID())
	}
	return p.to(f.out)
}

func (f *fields) LeaseEnded(int64) error { return nil }

func (f *fields) MemberList(r *pb.MemberListResponse) error {
	var p page
	f.header(&p, r.GetHeader())
	for _, m := range r.GetMembers() {
		f.id(&p, "ID", m.GetID())
		p.quoted("Name", m.GetName())
		for _, u := range m.GetPeerURLs() {
			p.quoted("PeerURL", u)
		}
		for _, u := range m.GetClientURLs() {
			p.quoted("ClientURL", u)
		}
		p.field("IsLearner", m.GetIsLearner())
		p.ln()
	}
	return p.to(f.out)
}

func (f *fields) EndpointHealth(hs []EndpointHealth) error {
	var p page
	for _, h := range hs {
		p.quoted("Endpoint", h.Endpoint)
		p.field("Health", h.Health)
		p.field("Took", h.Took)
		p.field("Error", h.Error)
		p.ln()
	}
	return p.to(f.out)
}

func (f *fields) EndpointStatus(ss []EndpointStatus) error {
	var p page
	for _, s := range ss {
		r := s.Status
		f.header(&p, r.GetHeader())
		p.quoted("Version", r.GetVersion())
		p.quoted("StorageVersion", r.GetStorageVersion())
		p.field("DBSize", r.GetDbSize())
		p.field("DBSizeInUse", r.GetDbSizeInUse())
		p.field("DBSizeQuota", r.GetDbSizeQuota())
		p.field("Leader", r.GetLeader())
		p.field("IsLearner", r.GetIsLearner())
		p.field("RaftIndex", r.GetRaftIndex())
		p.field("RaftAppliedIndex", r.GetRaftAppliedIndex())
		p.field("Errors", r.GetErrors())
		p.quoted("Endpoint", s.Endpoint)
		p.quoted("DowngradeTargetVersion", r.GetDowngradeInfo().GetTargetVersion())
		p.field("DowngradeEnabled", r.GetDowngradeInfo().GetEnabled())
		p.ln()
	}
	return p.to(f.out)
}

// field prints a value as Go prints it; quoted prints a string in Go's quotes.
//
//go:noinline
func (p *page) field(name string, value any) { p.f("\"%s\" : %v\n", name, value) }

//go:noinline
func (p *page) quoted(name, value string) { p.f("\"%s\" : %q\n", name, value) }
