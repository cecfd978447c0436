// Package canon makes the traffic of two runs alike. What a server draws at random, counts
// by itself or takes from a clock (the IDs of the cluster, of members and leases, tokens,
// ports, sizes) is replaced by values of this package's choosing while it passes: the
// client sees only those, and may send them back. All else stays as it is, and lengths are
// set anew, so what passes is well formed, and the same in each run.
package canon

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Names has what values stand for. It is safe for concurrent use.
type Names struct {
	mu     sync.Mutex
	shown  map[kind]map[uint64]uint64 // by the real value
	real   map[kind]map[uint64]uint64 // by the shown one
	texts  [][2]string                // real, shown
	tokens int
}

type kind uint8

const (
	none kind = iota
	cluster
	member
	lease
)

// The IDs that are shown. The first two are those of a member that is started without
// flags; the others are in etcd's own style.
var pool = map[kind][]uint64{
	cluster: {0xcdf818194e3a8c32},
	member:  {0x8e9e05c52164694d, 0x91bc3c398fb3c146, 0xfd422379fda50e48, 0x9bf1b35fc7761a23},
	lease:   {0x694d77aa9e38260f},
}

// New returns names of nothing so far.
func New() *Names {
	return &Names{shown: make(map[kind]map[uint64]uint64), real: make(map[kind]map[uint64]uint64)}
}

// Member gives the member its place among the members.
func (n *Names) Member(id uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.showLocked(member, id)
}

// ForgetMember gives the place of the member that is shown with that ID to the next one.
func (n *Names) ForgetMember(shown uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.shown[member], n.real[member][shown])
	delete(n.real[member], shown)
}

// Text shows the text to in place of from, wherever that occurs in a text.
func (n *Names) Text(from, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.texts = append(n.texts, [2]string{from, to})
}

// firstDrawn is the least ID that a server draws; smaller ones are a caller's own.
const firstDrawn = 1 << 40

func (n *Names) showLocked(k kind, v uint64) uint64 {
	if v < firstDrawn {
		return v
	}
	if s, ok := n.shown[k][v]; ok {
		return s
	}
	if n.shown[k] == nil {
		n.shown[k], n.real[k] = make(map[uint64]uint64), make(map[uint64]uint64)
	}
	ids := pool[k]
	i := len(n.shown[k])
	s := ids[min(i, len(ids)-1)] + 4*uint64(max(0, i-len(ids)+1)) //nolint:gosec // small numbers
	n.shown[k][v], n.real[k][s] = s, v
	return s
}

func (n *Names) number(f protoreflect.FieldDescriptor, v uint64, sent bool) uint64 {
	name := string(f.FullName())
	k := kinds[name]
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case k != none && sent:
		if r, ok := n.real[k][v]; ok {
			return r
		}
		return v
	case k != none:
		return n.showLocked(k, v)
	case !sent && name == "etcdserverpb.LeaseTimeToLiveResponse.TTL" && v > 50 && v < 60:
		return 59 // a lease of 60 s, after less than 10 s
	case !sent:
		if c, ok := constants[name]; ok {
			return c
		}
	}
	return v
}

// kinds says whose IDs are in a field.
var kinds = map[string]kind{
	"etcdserverpb.ResponseHeader.cluster_id": cluster,

	"etcdserverpb.ResponseHeader.member_id":   member,
	"etcdserverpb.Member.ID":                  member,
	"etcdserverpb.MemberRemoveRequest.ID":     member,
	"etcdserverpb.MemberUpdateRequest.ID":     member,
	"etcdserverpb.MemberPromoteRequest.ID":    member,
	"etcdserverpb.StatusResponse.leader":      member,
	"etcdserverpb.AlarmRequest.memberID":      member,
	"etcdserverpb.AlarmMember.memberID":       member,
	"etcdserverpb.MoveLeaderRequest.targetID": member,

	"mvccpb.KeyValue.lease":                   lease,
	"etcdserverpb.PutRequest.lease":           lease,
	"etcdserverpb.Compare.lease":              lease,
	"etcdserverpb.LeaseGrantRequest.ID":       lease,
	"etcdserverpb.LeaseGrantResponse.ID":      lease,
	"etcdserverpb.LeaseRevokeRequest.ID":      lease,
	"etcdserverpb.LeaseKeepAliveRequest.ID":   lease,
	"etcdserverpb.LeaseKeepAliveResponse.ID":  lease,
	"etcdserverpb.LeaseTimeToLiveRequest.ID":  lease,
	"etcdserverpb.LeaseTimeToLiveResponse.ID": lease,
	"etcdserverpb.LeaseStatus.ID":             lease,
	"v3lockpb.LockRequest.lease":              lease,
	"v3electionpb.CampaignRequest.lease":      lease,
	"v3electionpb.LeaderKey.lease":            lease,
}

// constants are what fields of responses are shown as, whatever they are.
var constants = map[string]uint64{
	"etcdserverpb.ResponseHeader.raft_term":        2,
	"etcdserverpb.StatusResponse.raftTerm":         2,
	"etcdserverpb.StatusResponse.raftIndex":        12,
	"etcdserverpb.StatusResponse.raftAppliedIndex": 12,
	"etcdserverpb.StatusResponse.dbSize":           24576,
	"etcdserverpb.StatusResponse.dbSizeInUse":      16384,
	"etcdserverpb.StatusResponse.dbSizeQuota":      2147483648,
	"etcdserverpb.HashResponse.hash":               3812358476,
	"etcdserverpb.HashKVResponse.hash":             2064863917,
}

// drawnHex is what an ID of a lease looks like in a key's name.
var drawnHex = regexp.MustCompile(`[0-9a-f]{13,16}`)

// text is a text of a message or of a header field.
func (n *Names) text(s string, sent bool) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, t := range n.texts {
		if sent {
			s = strings.ReplaceAll(s, t[1], t[0])
		} else {
			s = strings.ReplaceAll(s, t[0], t[1])
		}
	}
	return drawnHex.ReplaceAllStringFunc(s, func(hex string) string { return n.hexLocked(hex, sent) })
}

// hexLocked is what an ID is shown as, or what a shown one is. One of 15 digits or more
// that nobody has seen so far is that of a lease.
func (n *Names) hexLocked(hex string, sent bool) string {
	v, err := strconv.ParseUint(hex, 16, 64)
	if err != nil {
		return hex
	}
	for _, k := range []kind{lease, member, cluster} {
		known := n.shown[k]
		if sent {
			known = n.real[k]
		}
		if other, ok := known[v]; ok {
			return fmt.Sprintf("%x", other)
		}
	}
	if sent || len(hex) < 15 {
		return hex
	}
	return fmt.Sprintf("%x", n.showLocked(lease, v))
}

// token is what a token that the server has made is shown as.
func (n *Names) token(drawn string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, t := range n.texts {
		if t[0] == drawn {
			return t[1]
		}
	}
	n.tokens++
	shown := fmt.Sprintf("HandbookSpecimen.%d", 10+n.tokens)
	n.texts = append(n.texts, [2]string{drawn, shown})
	return shown
}
