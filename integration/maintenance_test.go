package integration_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/maintenance"
)

// maintain uses a client of one endpoint for each call to it.
func maintain(t *testing.T, cl *client.Client) *maintenance.Service {
	t.Helper()
	return maintenance.New(cl.Conn(), maintenance.WithEndpointDialer(func(_ context.Context, endpoint string) (grpc.ClientConnInterface, func() error, error) {
		c, err := client.New(checked(t, connection(client.Config{Endpoints: []string{endpoint}})))
		if err != nil {
			return nil, nil, err
		}
		return c.Conn(), c.Close, nil
	}))
}

func leaderOf(t *testing.T, c *cluster.Cluster) *cluster.Member {
	t.Helper()
	m, err := c.Leader(timeout(t))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// A saved snapshot is complete and verified, and is a database with the keys.
func TestSnapshot(t *testing.T) {
	c := startCluster(t, cluster.Config{Size: 1})
	cl := dial(t, client.Config{Endpoints: c.Endpoints()})
	value := strings.Repeat("v", 4096)
	const keys = 200
	var rev int64
	for i := range keys {
		resp, err := cl.Put(timeout(t), "key/"+strconv.Itoa(i), value)
		if err != nil {
			t.Fatal(err)
		}
		rev = resp.Header.Revision
	}

	if c.AtLeast("3.6") { // a member stores its storage version some seconds after its start
		eventually(t, "a version of the storage", func() bool {
			resp, err := maintain(t, cl).SnapshotWithVersion(timeout(t))
			if err != nil {
				t.Fatal(err)
			}
			return resp.Snapshot.Close() == nil && resp.Version != ""
		})
	}
	path := filepath.Join(t.TempDir(), "backup.db")
	var last maintenance.Progress
	info, err := maintain(t, cl).SaveFile(timeout(t), path, maintenance.WithProgress(func(p maintenance.Progress) { last = p }))
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(file)) != info.Size+sha256.Size || info.Size < keys*int64(len(value)) {
		t.Fatalf("the file has %d bytes and the snapshot %d; want 32 more in the file, and at least the values", len(file), info.Size)
	}
	db, digest := file[:info.Size], file[info.Size:]
	if sum := sha256.Sum256(db); !bytes.Equal(digest, sum[:]) || sum != info.SHA256 {
		t.Errorf("the digest is %x and %x in the file, want %x", info.SHA256, digest, sum)
	}
	if want := strings.Join(strings.Split(c.Version(), ".")[:2], "."); !c.AtLeast("3.6") {
		if info.Version != "" {
			t.Errorf("the version is %q, and servers before etcd 3.6 tell none", info.Version)
		}
	} else if !strings.HasPrefix(info.Version, want) {
		t.Errorf("the version is %q, want the server's, %s", info.Version, want)
	}
	if want := (maintenance.Progress{Received: info.Size}); last != want {
		t.Errorf("progress ends with %+v, want %+v", last, want)
	}

	// Like etcdutl, remove the digest; what remains is a database.
	if err := os.Truncate(path, info.Size); err != nil {
		t.Fatal(err)
	}
	b, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	err = b.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			t.Errorf("the database is damaged: %v", err)
		}
		bucket := tx.Bucket([]byte("key"))
		if bucket == nil {
			return errors.New("it has no bucket of keys")
		}
		// Each revision is a key, and each put made one.
		if n := bucket.Stats().KeyN; n != keys {
			t.Errorf("it has %d revisions, want %d, up to %d", n, keys, rev)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// Each member answers for itself, and all agree on the keys.
func TestMembersOneByOne(t *testing.T) {
	c := startCluster(t, cluster.Config{})
	cl := dial(t, client.Config{Endpoints: c.Endpoints()})
	resp, err := cl.Put(timeout(t), "k", "v")
	if err != nil {
		t.Fatal(err)
	}
	rev := resp.Header.Revision
	m := maintain(t, cl)
	hashes := make(map[uint32]bool)
	for _, member := range c.Members() {
		s, err := m.Status(timeout(t), member.Endpoint())
		if err != nil {
			t.Fatal(err)
		}
		if s.Header.MemberId != member.ID() || s.Version == "" || s.DbSize == 0 {
			t.Errorf("status of %s: %v; want it to be of member %x", member.Name(), s, member.ID())
		}
		eventually(t, member.Name()+" has the revision", func() bool {
			h, err := m.HashKV(timeout(t), member.Endpoint(), rev)
			if errors.Is(err, rpctypes.ErrFutureRev) {
				return false
			}
			if overGateway() && !c.AtLeast("3.5") && status.Code(err) == codes.Unimplemented {
				hashes[0] = true // the gateway has a path for it since 3.5
				return true
			}
			if err != nil {
				t.Fatal(err)
			}
			hashes[h.Hash] = true
			return true
		})
		if _, err := m.Defragment(timeout(t), member.Endpoint()); err != nil {
			t.Errorf("defragmenting %s: %v", member.Name(), err)
		}
	}
	if len(hashes) != 1 {
		t.Errorf("the members have the hashes %v, want one", hashes)
	}
	if _, err := m.HashKV(timeout(t), c.Members()[0].Endpoint(), rev+1000); !errors.Is(err, rpctypes.ErrFutureRev) && !hashes[0] {
		t.Errorf("HashKV of a revision to come: got %v, want %v", err, rpctypes.ErrFutureRev)
	}
}

func TestMoveLeader(t *testing.T) {
	c := startCluster(t, cluster.Config{})
	m := maintain(t, dial(t, client.Config{Endpoints: c.Endpoints()}))
	eventually(t, "the leader is moved, without an election by itself in between", func() bool {
		leader := leaderOf(t, c)
		var other *cluster.Member
		for _, member := range c.Members() {
			if member != leader {
				other = member
			}
		}
		_, follower := m.At(other.Endpoint()).MoveLeader(timeout(t), other.ID())
		_, nobody := m.At(leader.Endpoint()).MoveLeader(timeout(t), 1)
		if leaderOf(t, c) != leader {
			return false
		}
		if !errors.Is(follower, rpctypes.ErrNotLeader) {
			t.Errorf("asking a follower: got %v, want %v", follower, rpctypes.ErrNotLeader)
		}
		if !errors.Is(nobody, rpctypes.ErrBadLeaderTransferee) {
			t.Errorf("moving it to nobody: got %v, want %v", nobody, rpctypes.ErrBadLeaderTransferee)
		}
		return movedTo(t, c, m, leader, other)
	})
}

// movedTo moves the leadership, and reports whether another election has not come in between.
func movedTo(t *testing.T, c *cluster.Cluster, m *maintenance.Service, from, to *cluster.Member) bool {
	t.Helper()
	_, err := m.At(from.Endpoint()).MoveLeader(timeout(t), to.ID())
	if err != nil && !errors.Is(err, rpctypes.ErrNotLeader) {
		t.Fatal(err)
	}
	return err == nil && leaderOf(t, c) == to
}

// An alarm is raised when the quota is exceeded, then listed, and disarmed.
func TestAlarms(t *testing.T) {
	c := startCluster(t, cluster.Config{Size: 1, QuotaBytes: 1 << 20})
	cl := dial(t, client.Config{Endpoints: c.Endpoints()})
	m := maintain(t, cl)
	if list, err := m.AlarmList(timeout(t)); err != nil || len(list.Alarms) > 0 {
		t.Fatalf("alarms of a new cluster: %v, %v; want none", list, err)
	}
	value := strings.Repeat("v", 64<<10)
	var rev int64
	eventually(t, "the quota is passed", func() bool {
		resp, err := cl.Put(timeout(t), "k", value)
		if err == nil {
			rev = resp.Header.Revision
			return false
		}
		if !errors.Is(err, rpctypes.ErrNoSpace) {
			t.Fatal(err)
		}
		return true
	})
	want := &maintenance.AlarmMember{MemberID: c.Members()[0].ID(), Alarm: pb.AlarmType_NOSPACE}
	list, err := m.AlarmList(timeout(t))
	if err != nil || len(list.Alarms) != 1 || list.Alarms[0].MemberID != want.MemberID || list.Alarms[0].Alarm != want.Alarm {
		t.Fatalf("alarms: %v, %v; want %v", list, err, want)
	}
	if _, err := cl.Compact(timeout(t), rev, kv.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Defragment(timeout(t), c.Members()[0].Endpoint()); err != nil {
		t.Fatal(err)
	}
	done, err := m.AlarmDisarm(timeout(t), &maintenance.AlarmMember{})
	if err != nil || len(done.Alarms) != 1 || done.Alarms[0].MemberID != want.MemberID {
		t.Fatalf("disarmed: %v, %v; want %v", done, err, want)
	}
	if _, err := cl.Put(timeout(t), "k", "v"); err != nil {
		t.Errorf("after the alarm: %v", err)
	}
}

func TestDowngradeValidate(t *testing.T) {
	c := startCluster(t, cluster.Config{Size: 1})
	m := maintain(t, dial(t, client.Config{Endpoints: c.Endpoints()}))
	if !c.AtLeast("3.5") {
		_, err := m.Downgrade(timeout(t), maintenance.DowngradeValidate, "3.3")
		lacking(t, c, "3.5", err)
		return
	}
	before := map[bool]string{true: "3.4"} // by the minimum version of the servers
	for _, v := range []int{6, 7} {
		before[c.AtLeast("3."+strconv.Itoa(v))] = "3." + strconv.Itoa(v-1)
	}
	if resp, err := m.Downgrade(timeout(t), maintenance.DowngradeValidate, before[true]); err != nil || resp.Version == "" {
		t.Errorf("%s: got %v, %v; want the cluster's version", before[true], resp, err)
	}
	if _, err := m.Downgrade(timeout(t), maintenance.DowngradeValidate, "3.1"); !errors.Is(err, rpctypes.ErrInvalidDowngradeTargetVersion) {
		t.Errorf("3.1: got %v, want %v", err, rpctypes.ErrInvalidDowngradeTargetVersion)
	}
}
