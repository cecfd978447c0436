package etcdctltest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/lease"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"go.uber.org/zap"

	"github.com/getcd/getcd/integration/cluster"
)

func TestSnapshot(t *testing.T) {
	b := newBench(t, cluster.Config{Size: 1})
	b.pairs(t, 50)
	for i := range 40 { // some MiB, so that it arrives in several parts
		b.put(t, fmt.Sprintf("large/%d", i), strings.Repeat("x", 100<<10))()
	}

	// Both write to the same path, so that the second replaces the first.
	path := filepath.Join(t.TempDir(), "backup.db")
	// A member stores its storage version some seconds after its start. Only then
	// the tools print it.
	for begin := time.Now(); !strings.Contains(run(t, b.etcdctl, at(words("snapshot", "save", path)), strings.NewReplacer(b.vars...)).stdout, "version"); {
		if time.Since(begin) > 30*time.Second {
			t.Fatal("no snapshot had a version for 30 s")
		}
	}
	dumps := make(map[string]string)
	results := make(map[string]result)
	for _, tool := range []string{b.etcdctl, b.getcd} {
		results[tool] = run(t, tool, at(words("snapshot", "save", path)), strings.NewReplacer(b.vars...))
		dumps[tool] = b.readSnapshot(t, path)
	}
	diff(t, sh("snapshot save"), results[b.getcd], results[b.etcdctl])
	if want := fmt.Sprintf("Snapshot saved at %s\n", path); !strings.HasPrefix(results[b.getcd].stdout, want) {
		t.Errorf("got stdout %q, want %q first", results[b.getcd].stdout, want)
	}
	if dumps[b.getcd] != dumps[b.etcdctl] {
		t.Errorf("the keys in getcd's snapshot are not those in etcdctl's")
	}
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) != 1 {
		t.Errorf("got files %v, %v, want the snapshot alone", files, err)
	}
	if s, err := os.Stat(path); err != nil || s.Mode() != 0o600 {
		t.Errorf("got mode %v, %v, want 0600", s.Mode(), err)
	}

	dir := t.TempDir()
	short := []string{"--command-timeout=500ms"}
	for _, i := range []invocation{
		at(sh("snapshot save")), at(sh("snapshot save a b")),
		at(words("snapshot", "save", filepath.Join(dir, "no", "such", "directory.db"))),
		at(words("snapshot", "save", filepath.Join(dir, "xml.db"), "-w", "xml")),
		at(words("snapshot", "save", filepath.Join(dir, "cert.db"), "--cert=nosuchfile", "--key=nosuchfile")),
		at(words("snapshot", "save", filepath.Join(dir, "json.db"), "-w", "json")),
		at(words("snapshot", "save", filepath.Join(dir, "limit.db"), "--command-timeout=20s")),
		words("--endpoints", "‹ep0›,‹ep0›", "snapshot", "save", filepath.Join(dir, "two.db")),
		words(append(short, "--endpoints", "127.0.0.1:1", "snapshot", "save", filepath.Join(dir, "none.db"))...),
		words(append(short, "--endpoints", "‹ep0›", "--user", "root:wrong", "snapshot", "save", filepath.Join(dir, "user.db"))...),
	} {
		b.same(t, i)
	}
}

// TestSnapshotInterrupted interrupts a long snapshot: nothing is left of it, and
// the previous file stays.
func TestSnapshotInterrupted(t *testing.T) {
	b := newBench(t, cluster.Config{Size: 1, Links: true})
	for i := range 24 {
		b.put(t, fmt.Sprintf("large/%d", i), strings.Repeat("x", 1<<20))()
	}
	if err := b.cluster.Members()[0].ClientLink().SetDelay(0, 300*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "backup.db")
	if err := os.WriteFile(path, []byte("the one before"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := hold(t, b.getcd, dialogue{
		invocation: at(words("snapshot", "save", path)),
		steps: []step{{do: func() {
			for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) { // polling
				if parts, _ := filepath.Glob(path + ".*.part"); len(parts) > 0 {
					if f, err := os.Stat(parts[0]); err == nil && f.Size() > 0 {
						return
					}
				}
				if time.Now().After(end) {
					t.Errorf("no part of the snapshot came")
					return
				}
			}
		}}},
	}, strings.NewReplacer(b.vars...))
	if r.code != 130 || r.stdout != "" {
		t.Errorf("got exit status %d, stdout %q, want 130 and none", r.code, r.stdout)
	}
	files, err := filepath.Glob(path + "*")
	if content, _ := os.ReadFile(path); err != nil || len(files) != 1 || string(content) != "the one before" {
		t.Errorf("got files %v, %v, and %d bytes in the first, want what was there before alone", files, err, len(content))
	}
}

// readSnapshot checks a snapshot as etcdutl does before it restores one, and
// checks that etcd reads from it what the member has. It returns the keys with
// their history.
func (b *bench) readSnapshot(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	db, digest := content[:len(content)-sha256.Size], content[len(content)-sha256.Size:]
	if sum := sha256.Sum256(db); !bytes.Equal(sum[:], digest) {
		t.Errorf("got digest %x, want %x", digest, sum)
	}
	file := filepath.Join(t.TempDir(), "db")
	if err := os.WriteFile(file, db, 0o600); err != nil {
		t.Fatal(err)
	}

	var dump strings.Builder
	be := backend.NewDefaultBackend(zap.NewNop(), file)
	tx := be.ReadTx()
	tx.RLock()
	err = tx.UnsafeForEach(schema.Key, func(k, v []byte) error {
		fmt.Fprintf(&dump, "%x %x\n", k, v)
		return nil
	})
	tx.RUnlock()
	if err != nil || dump.Len() == 0 {
		t.Errorf("got %d bytes of keys, %v", dump.Len(), err)
	}
	store := mvcc.NewStore(zap.NewNop(), be, &lease.FakeLessor{}, mvcc.StoreConfig{})
	got, _, err := store.HashStorage().HashByRev(0)
	if err != nil {
		t.Error(err)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
	if err := be.Close(); err != nil {
		t.Error(err)
	}
	want, err := pb.NewMaintenanceClient(b.cluster.Members()[0].Control()).HashKV(t.Context(), &pb.HashKVRequest{})
	if err != nil {
		t.Fatal(err)
	}
	rev := want.GetHashRevision() // servers before 3.6 do not report it
	if got.Hash != want.GetHash() || rev != 0 && got.Revision != rev {
		t.Errorf("got hash %x at revision %d of what was saved, want the member's, %x at %d", got.Hash, got.Revision, want.GetHash(), rev)
	}
	return dump.String()
}
