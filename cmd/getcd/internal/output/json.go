package output

import (
	"encoding/json"
	"io"
	"strconv"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"
)

// jsonPrinter prints each response as one JSON object on one line. The names are
// the json tags of etcd's generated messages (encoding/json, not protobuf's own
// JSON mapping): keys and values are base64, and 64-bit numbers are numbers.
type jsonPrinter struct {
	out io.Writer
	hex bool
}

func (j *jsonPrinter) print(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = j.out.Write(append(b, '\n'))
	return err
}

func (j *jsonPrinter) Put(r *pb.PutResponse) error            { return j.print(r) }
func (j *jsonPrinter) Get(r *pb.RangeResponse) error          { return j.print(r) }
func (j *jsonPrinter) Delete(r *pb.DeleteRangeResponse) error { return j.print(r) }
func (j *jsonPrinter) Txn(r *pb.TxnResponse) error            { return j.print(newTxnJSON(r)) }

// txnJSON replaces TxnResponse, because encoding/json cannot name the
// alternatives of a protobuf oneof.
type txnJSON struct {
	Header    *pb.ResponseHeader `json:"header,omitempty"`
	Succeeded bool               `json:"succeeded,omitempty"`
	Responses []txnOpJSON        `json:"responses,omitempty"`
}

type txnOpJSON struct {
	Response struct {
		Range       *pb.RangeResponse       `json:"response_range,omitempty"`
		Put         *pb.PutResponse         `json:"response_put,omitempty"`
		DeleteRange *pb.DeleteRangeResponse `json:"response_delete_range,omitempty"`
		Txn         *txnJSON                `json:"response_txn,omitempty"`
	} `json:"Response"`
}

func newTxnJSON(r *pb.TxnResponse) *txnJSON {
	t := &txnJSON{Header: r.GetHeader(), Succeeded: r.GetSucceeded()}
	for _, op := range r.GetResponses() {
		var o txnOpJSON
		switch v := op.GetResponse().(type) {
		case *pb.ResponseOp_ResponseRange:
			o.Response.Range = v.ResponseRange
		case *pb.ResponseOp_ResponsePut:
			o.Response.Put = v.ResponsePut
		case *pb.ResponseOp_ResponseDeleteRange:
			o.Response.DeleteRange = v.ResponseDeleteRange
		case *pb.ResponseOp_ResponseTxn:
			o.Response.Txn = newTxnJSON(v.ResponseTxn)
		}
		t.Responses = append(t.Responses, o)
	}
	return t
}

// Watch prints the fields of clientv3's type, under that type's names, not those
// of the message.
func (j *jsonPrinter) Watch(r *pb.WatchResponse) error {
	return j.print(struct {
		Header          *pb.ResponseHeader
		Events          []*mvccpb.Event
		CompactRevision int64
		Canceled        bool
		Created         bool
		CancelReason    string
	}{r.GetHeader(), r.GetEvents(), r.GetCompactRevision(), r.GetCanceled(), r.GetCreated(), ""})
}

// The lease responses are flat: the header's fields are next to the lease's.

func (j *jsonPrinter) LeaseGrant(r *pb.LeaseGrantResponse) error {
	return j.print(struct {
		*pb.ResponseHeader
		ID    int64
		TTL   int64
		Error string
	}{r.GetHeader(), r.GetID(), r.GetTTL(), r.GetError()})
}

func (j *jsonPrinter) LeaseRevoke(_ int64, r *pb.LeaseRevokeResponse) error { return j.print(r) }

func (j *jsonPrinter) LeaseKeepAlive(r *pb.LeaseKeepAliveResponse) error {
	return j.print(struct {
		*pb.ResponseHeader
		ID  int64
		TTL int64
	}{r.GetHeader(), r.GetID(), r.GetTTL()})
}

func (j *jsonPrinter) LeaseTimeToLive(r *pb.LeaseTimeToLiveResponse, _ bool) error {
	return j.print(struct {
		*pb.ResponseHeader
		ID         int64    `json:"id"`
		TTL        int64    `json:"ttl"`
		GrantedTTL int64    `json:"granted-ttl"`
		Keys       [][]byte `json:"keys"`
	}{r.GetHeader(), r.GetID(), r.GetTTL(), r.GetGrantedTTL(), r.GetKeys()})
}

func (j *jsonPrinter) LeaseList(r *pb.LeaseLeasesResponse) error {
	type item struct {
		ID int64 `json:"id"`
	}
	// Never nil: without leases it prints [], not null.
	items := make([]item, 0, len(r.GetLeases()))
	for _, l := range r.GetLeases() {
		items = append(items, item{l.GetID()})
	}
	return j.print(struct {
		*pb.ResponseHeader
		Leases []item `json:"leases"`
	}{r.GetHeader(), items})
}

func (j *jsonPrinter) LeaseEnded(int64) error { return nil }

func (j *jsonPrinter) EndpointHealth(hs []EndpointHealth) error { return j.print(hs) }
func (j *jsonPrinter) EndpointStatus(ss []EndpointStatus) error { return j.print(ss) }
func (j *jsonPrinter) EndpointHashKV(hs []EndpointHashKV) error { return j.print(hs) }

func (j *jsonPrinter) Alarm(r *pb.AlarmResponse) error                { return j.print(r) }
func (j *jsonPrinter) AuthStatus(r *pb.AuthStatusResponse) error      { return j.print(r) }
func (j *jsonPrinter) Role(_ string, r *pb.AuthRoleGetResponse) error { return j.print(r) }
func (j *jsonPrinter) RoleList(r *pb.AuthRoleListResponse) error      { return j.print(r) }
func (j *jsonPrinter) User(_ string, r *pb.AuthUserGetResponse) error { return j.print(r) }
func (j *jsonPrinter) UserList(r *pb.AuthUserListResponse) error      { return j.print(r) }
func (j *jsonPrinter) Done(_ string, r Acknowledgement) error         { return j.print(r) }
func (j *jsonPrinter) Report(_ string, r proto.Message) error         { return j.print(r) }

// --hex changes only the responses with members: JavaScript's numbers cannot hold
// 64-bit IDs, and people compare them in hexadecimal anyway.

func (j *jsonPrinter) MemberList(r *pb.MemberListResponse) error { return j.members(r, nil) }

func (j *jsonPrinter) MemberAdd(_, _ string, r *pb.MemberAddResponse) error {
	return j.members(r, newHexMember(r.GetMember()))
}

func (j *jsonPrinter) MemberChange(_ string, r MemberChange) error { return j.members(r, nil) }

// members prints a response with members. added is the member that was added, or
// nil.
func (j *jsonPrinter) members(r MemberChange, added *hexMember) error {
	if !j.hex {
		return j.print(r)
	}
	h := r.GetHeader()
	v := struct {
		Header  hexHeader    `json:"header"`
		Member  *hexMember   `json:"member,omitempty"`
		Members []*hexMember `json:"members"`
	}{
		Header: hexHeader{
			ClusterID: strconv.FormatUint(h.GetClusterId(), 16),
			MemberID:  strconv.FormatUint(h.GetMemberId(), 16),
			Revision:  h.GetRevision(),
			RaftTerm:  h.GetRaftTerm(),
		},
		Member: added,
		// Never nil: without members it prints [], not null.
		Members: make([]*hexMember, 0, len(r.GetMembers())),
	}
	for _, m := range r.GetMembers() {
		v.Members = append(v.Members, newHexMember(m))
	}
	return j.print(v)
}

type hexHeader struct {
	ClusterID string `json:"cluster_id"`
	MemberID  string `json:"member_id"`
	Revision  int64  `json:"revision,omitempty"`
	RaftTerm  uint64 `json:"raft_term,omitempty"`
}

type hexMember struct {
	ID         string   `json:"ID"`
	Name       string   `json:"name,omitempty"`
	PeerURLs   []string `json:"peerURLs,omitempty"`
	ClientURLs []string `json:"clientURLs,omitempty"`
	IsLearner  bool     `json:"isLearner,omitempty"`
}

func newHexMember(m *pb.Member) *hexMember {
	return &hexMember{
		ID:         strconv.FormatUint(m.GetID(), 16),
		Name:       m.GetName(),
		PeerURLs:   m.GetPeerURLs(),
		ClientURLs: m.GetClientURLs(),
		IsLearner:  m.GetIsLearner(),
	}
}
