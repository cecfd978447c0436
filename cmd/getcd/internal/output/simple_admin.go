package output

import (
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/kv"
)

func (s *simple) MemberAdd(name, peerURLs string, r *pb.MemberAddResponse) error {
	added := r.GetMember()
	as := ""
	if added.GetIsLearner() {
		as = "as learner "
	}
	var p page
	p.f("Member %16x added %sto cluster %16x\n\n", added.GetID(), as, r.GetHeader().GetClusterId())
	// The configuration with which to start the new member.
	var all []string
	for _, m := range r.GetMembers() {
		n := m.GetName()
		if m.GetID() == added.GetID() {
			n = name // the member itself announces its name when it starts
		}
		for _, u := range m.GetPeerURLs() {
			all = append(all, n+"="+u)
		}
	}
	p.f("ETCD_NAME=%q\n", name)
	p.f("ETCD_INITIAL_CLUSTER=%q\n", strings.Join(all, ","))
	p.f("ETCD_INITIAL_ADVERTISE_PEER_URLS=%q\n", peerURLs)
	p.f("ETCD_INITIAL_CLUSTER_STATE=%q\n", "existing")
	return p.to(s.out)
}

func (s *simple) MemberChange(sentence string, _ MemberChange) error { return s.say(sentence) }
func (s *simple) Done(sentence string, _ Acknowledgement) error      { return s.say(sentence) }
func (s *simple) Report(sentence string, _ proto.Message) error      { return s.say(sentence) }

func (s *simple) say(sentence string) error {
	var p page
	p.ln(sentence)
	return p.to(s.out)
}

func (s *simple) EndpointHashKV(hs []EndpointHashKV) error {
	_, rows := hashRows(hs)
	return s.rows(rows)
}

// Alarm prints what etcdctl prints, which is protobuf's text format. That puts
// one or two spaces between fields, depending on how the program was built; here
// it is always one.
func (s *simple) Alarm(r *pb.AlarmResponse) error {
	var p page
	for _, a := range r.GetAlarms() {
		var set []string
		if id := a.GetMemberID(); id != 0 {
			set = append(set, fmt.Sprintf("memberID:%d", id))
		}
		if kind := a.GetAlarm(); kind != pb.AlarmType_NONE {
			set = append(set, "alarm:"+kind.String())
		}
		p.ln(strings.Join(set, " "))
	}
	return p.to(s.out)
}

func (s *simple) AuthStatus(r *pb.AuthStatusResponse) error {
	var p page
	p.ln("Authentication Status:", r.GetEnabled())
	p.ln("AuthRevision:", r.GetAuthRevision())
	return p.to(s.out)
}

func (s *simple) Role(name string, r *pb.AuthRoleGetResponse) error {
	var p page
	p.f("Role %s\n", name)
	permissions := r.GetPerm()
	// The role root may do everything, without permissions.
	if name == "root" && permissions == nil {
		permissions = []*authpb.Permission{{PermType: authpb.Permission_READWRITE, RangeEnd: []byte{0}}}
	}
	for _, right := range []struct {
		title string
		kind  authpb.Permission_Type
	}{{"KV Read:", authpb.Permission_READ}, {"KV Write:", authpb.Permission_WRITE}} {
		p.ln(right.title)
		for _, perm := range permissions {
			if t := perm.GetPermType(); t == right.kind || t == authpb.Permission_READWRITE {
				p.f("\t%s\n", keys(perm))
			}
		}
	}
	return p.to(s.out)
}

// keys describes the keys of a permission.
func keys(perm *authpb.Permission) string {
	key, end := string(perm.GetKey()), string(perm.GetRangeEnd())
	if end == "" {
		return key
	}
	text := span(key, end)
	if key != "" && kv.GetPrefixRangeEnd(key) == end {
		text += " (prefix " + key + ")"
	}
	return text
}

// span formats a range as etcdctl does; etcdctl omits the closing bracket if
// there is no end.
func span(key, end string) string {
	if end == "\x00" {
		return "[" + key + ", <open ended>"
	}
	return "[" + key + ", " + end + ")"
}

func (s *simple) RoleList(r *pb.AuthRoleListResponse) error { return s.lines(r.GetRoles()) }

func (s *simple) UserList(r *pb.AuthUserListResponse) error { return s.lines(r.GetUsers()) }

func (s *simple) lines(names []string) error {
	var p page
	for _, n := range names {
		p.ln(n)
	}
	return p.to(s.out)
}

func (s *simple) User(name string, r *pb.AuthUserGetResponse) error {
	var p page
	p.f("User: %s\nRoles:", name)
	for _, role := range r.GetRoles() {
		p.f(" %s", role)
	}
	p.ln()
	return p.to(s.out)
}

// Revoked returns the sentence for [Printer.Done] that role no longer has a
// permission: on key or, if end is not empty, on the range from key to end.
func Revoked(role, key, end string) string {
	if end == "" {
		return fmt.Sprintf("Permission of key %s is revoked from role %s", key, role)
	}
	return fmt.Sprintf("Permission of range %s is revoked from role %s", span(key, end), role)
}
