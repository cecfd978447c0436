package output

import (
	"io"
	"strconv"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/cmd/getcd/internal/units"
)

// table draws boxes around members and endpoints. It has no form for other
// responses.
type table struct {
	refusal
	out io.Writer
}

func (t *table) MemberList(r *pb.MemberListResponse) error { return t.draw(memberRows(r)) }

func (t *table) EndpointStatus(ss []EndpointStatus) error { return t.draw(statusRows(ss)) }

func (t *table) EndpointHealth(hs []EndpointHealth) error {
	rows := make([][]string, 0, len(hs))
	for _, h := range hs {
		rows = append(rows, []string{h.Endpoint, strconv.FormatBool(h.Health), h.Took, h.Error})
	}
	return t.draw([]string{"endpoint", "health", "took", "error"}, rows)
}

func (t *table) EndpointHashKV(hs []EndpointHashKV) error { return t.draw(hashRows(hs)) }

func (t *table) draw(header []string, rows [][]string) error {
	var p page
	drawBox(&p, header, rows)
	return p.to(t.out)
}

// memberRows returns the member list as cells, for the simple and the table
// format.
func memberRows(r *pb.MemberListResponse) (header []string, rows [][]string) {
	for _, m := range r.GetMembers() {
		// A member that was added but never started has not announced its name.
		status := "started"
		if m.GetName() == "" {
			status = "unstarted"
		}
		rows = append(rows, []string{
			strconv.FormatUint(m.GetID(), 16),
			status,
			m.GetName(),
			strings.Join(m.GetPeerURLs(), ","),
			strings.Join(m.GetClientURLs(), ","),
			strconv.FormatBool(m.GetIsLearner()),
		})
	}
	return []string{"ID", "Status", "Name", "Peer Addrs", "Client Addrs", "Is Learner"}, rows
}

// statusRows returns the endpoint status as cells, for the simple and the table
// format.
func statusRows(ss []EndpointStatus) (header []string, rows [][]string) {
	for _, s := range ss {
		r := s.Status
		rows = append(rows, []string{
			s.Endpoint,
			strconv.FormatUint(r.GetHeader().GetMemberId(), 16),
			r.GetVersion(),
			r.GetStorageVersion(),
			size(r.GetDbSize()),
			size(r.GetDbSizeInUse()),
			unused(r.GetDbSizeInUse(), r.GetDbSize()),
			size(r.GetDbSizeQuota()),
			strconv.FormatBool(r.GetLeader() == r.GetHeader().GetMemberId()),
			strconv.FormatBool(r.GetIsLearner()),
			strconv.FormatUint(r.GetRaftTerm(), 10),
			strconv.FormatUint(r.GetRaftIndex(), 10),
			strconv.FormatUint(r.GetRaftAppliedIndex(), 10),
			strings.Join(r.GetErrors(), ", "),
			r.GetDowngradeInfo().GetTargetVersion(),
			strconv.FormatBool(r.GetDowngradeInfo().GetEnabled()),
		})
	}
	return []string{
		"endpoint", "ID", "version", "storage version", "db size", "in use",
		"percentage not in use", "quota", "is leader", "is learner", "raft term",
		"raft index", "raft applied index", "errors", "downgrade target version",
		"downgrade enabled",
	}, rows
}

// hashRows returns endpoint hashkv as cells, for the simple and the table format.
func hashRows(hs []EndpointHashKV) (header []string, rows [][]string) {
	for _, h := range hs {
		rows = append(rows, []string{
			h.Endpoint,
			strconv.FormatUint(uint64(h.HashKV.GetHash()), 10),
			strconv.FormatInt(h.HashKV.GetHashRevision(), 10),
		})
	}
	return []string{"endpoint", "hash", "hash_revision"}, rows
}

func size(bytes int64) string { return units.Bytes(uint64(bytes)) }

// unused returns the share of the database file that holds no data, in whole
// percent. It is 0 if the member reports no size (before etcd 3.4).
func unused(inUse, total int64) string {
	if total <= 0 {
		return "0%"
	}
	return strconv.FormatInt(100-inUse*100/total, 10) + "%"
}
