package output

import (
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// etcdctl has no fields format for the responses that are missing here. The
// embedded refusal handles them.

func (f *fields) EndpointHashKV(hs []EndpointHashKV) error {
	var p page
	for _, h := range hs {
		f.header(&p, h.HashKV.GetHeader())
		p.quoted("Endpoint", h.Endpoint)
		p.field("Hash", h.HashKV.GetHash())
		p.field("HashRevision", h.HashKV.GetHashRevision())
		p.ln()
	}
	return p.to(f.out)
}

func (f *fields) Alarm(r *pb.AlarmResponse) error {
	var p page
	f.header(&p, r.GetHeader())
	for _, a := range r.GetAlarms() {
		f.id(&p, "MemberID", a.GetMemberID())
		p.field("AlarmType", a.GetAlarm())
		p.ln()
	}
	return p.to(f.out)
}

func (f *fields) Role(_ string, r *pb.AuthRoleGetResponse) error {
	var p page
	f.header(&p, r.GetHeader())
	for _, perm := range r.GetPerm() {
		// etcdctl prints two spaces, too.
		p.f("\"PermType\" :  %s\n", perm.GetPermType())
		p.quoted("Key", string(perm.GetKey()))
		p.quoted("RangeEnd", string(perm.GetRangeEnd()))
	}
	return p.to(f.out)
}

func (f *fields) RoleList(r *pb.AuthRoleListResponse) error {
	var p page
	f.header(&p, r.GetHeader())
	p.f("\"Roles\" :")
	for _, role := range r.GetRoles() {
		p.f(" %q", role)
	}
	p.ln()
	return p.to(f.out)
}

func (f *fields) Done(_ string, r Acknowledgement) error {
	var p page
	f.header(&p, r.GetHeader())
	return p.to(f.out)
}
