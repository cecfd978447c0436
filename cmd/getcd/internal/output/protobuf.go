package output

import (
	"io"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

// protobuf prints only the encoded message, without a length or a newline. It is
// meant for one response per invocation.
type protobuf struct {
	refusal
	out io.Writer
}

func (p *protobuf) print(m proto.Message) error {
	b, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	_, err = p.out.Write(b)
	return err
}

func (p *protobuf) Put(r *pb.PutResponse) error               { return p.print(r) }
func (p *protobuf) Get(r *pb.RangeResponse) error             { return p.print(r) }
func (p *protobuf) Delete(r *pb.DeleteRangeResponse) error    { return p.print(r) }
func (p *protobuf) Txn(r *pb.TxnResponse) error               { return p.print(r) }
func (p *protobuf) MemberList(r *pb.MemberListResponse) error { return p.print(r) }

func (p *protobuf) Watch(r *pb.WatchResponse) error {
	return p.print(&pb.WatchResponse{
		Header: r.GetHeader(), Events: r.GetEvents(), CompactRevision: r.GetCompactRevision(),
		Canceled: r.GetCanceled(), Created: r.GetCreated(),
	})
}

// Of a lease response, etcdctl encodes only the header, and so does this: a
// reader that was written for etcdctl decodes a ResponseHeader. Use json or
// fields to get the ID.

func (p *protobuf) LeaseGrant(r *pb.LeaseGrantResponse) error { return p.print(r.GetHeader()) }

func (p *protobuf) LeaseKeepAlive(r *pb.LeaseKeepAliveResponse) error {
	return p.print(r.GetHeader())
}

func (p *protobuf) LeaseTimeToLive(r *pb.LeaseTimeToLiveResponse, _ bool) error {
	return p.print(r.GetHeader())
}
func (p *protobuf) LeaseList(r *pb.LeaseLeasesResponse) error { return p.print(r.GetHeader()) }

func (p *protobuf) MemberAdd(_, _ string, r *pb.MemberAddResponse) error { return p.print(r) }
func (p *protobuf) MemberChange(_ string, r MemberChange) error          { return p.print(r) }
func (p *protobuf) Alarm(r *pb.AlarmResponse) error                      { return p.print(r) }
func (p *protobuf) AuthStatus(r *pb.AuthStatusResponse) error            { return p.print(r) }
func (p *protobuf) Role(_ string, r *pb.AuthRoleGetResponse) error       { return p.print(r) }
func (p *protobuf) RoleList(r *pb.AuthRoleListResponse) error            { return p.print(r) }
func (p *protobuf) User(_ string, r *pb.AuthUserGetResponse) error       { return p.print(r) }
func (p *protobuf) UserList(r *pb.AuthUserListResponse) error            { return p.print(r) }
func (p *protobuf) Done(_ string, r Acknowledgement) error               { return p.print(r) }
func (p *protobuf) Report(_ string, r proto.Message) error               { return p.print(r) }
