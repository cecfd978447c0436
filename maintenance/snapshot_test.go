package maintenance_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/iotest"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/maintenance"
)

// part is the size of the parts that etcd sends.
const part = 32 << 10

// content returns a database file of the given size.
func content(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i * 31 >> 3)
	}
	return b
}

// parts returns the messages of a snapshot as etcd sends it.
func parts(db []byte) []*pb.SnapshotResponse {
	var out []*pb.SnapshotResponse
	for sent := 0; sent < len(db); {
		n := min(part, len(db)-sent)
		out = append(out, &pb.SnapshotResponse{Blob: db[sent : sent+n], RemainingBytes: uint64(len(db) - sent - n), Version: "3.7.0"})
		sent += n
	}
	sum := sha256.Sum256(db)
	return append(out, &pb.SnapshotResponse{Blob: sum[:], Version: "3.7.0"})
}

func sending(messages []*pb.SnapshotResponse) *member {
	return &member{snapshot: func(stream pb.Maintenance_SnapshotServer) error {
		for _, m := range messages {
			if err := stream.Send(m); err != nil {
				return err
			}
		}
		return nil
	}}
}

func withDigest(db []byte) []byte {
	sum := sha256.Sum256(db)
	return append(slices.Clone(db), sum[:]...)
}

func TestSave(t *testing.T) {
	db := content(3*part + 100)
	whole := withDigest(db)
	for _, tc := range []struct {
		name     string
		messages []*pb.SnapshotResponse
		want     []byte
	}{
		{"one part", parts(db[:4096]), withDigest(db[:4096])},
		{"full parts", parts(db[:2*part]), withDigest(db[:2*part])},
		{"a last part", parts(db), whole},
		{"an empty message at the end", append(parts(db), &pb.SnapshotResponse{}), whole},
		{"the digest with the content", []*pb.SnapshotResponse{
			{Blob: db[:part], RemainingBytes: uint64(len(db) - part)},
			{Blob: whole[part:]},
		}, whole},
		{"the digest in two", append(parts(db)[:4],
			&pb.SnapshotResponse{Blob: whole[len(db) : len(db)+5]},
			&pb.SnapshotResponse{Blob: whole[len(db)+5:]}), whole},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := service(t, sending(tc.messages))
			var out bytes.Buffer
			var seen []maintenance.Progress
			info, err := s.Save(t.Context(), &out, maintenance.WithProgress(func(p maintenance.Progress) { seen = append(seen, p) }))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(out.Bytes(), tc.want) {
				t.Errorf("saved %d bytes, want the content and its digest, %d", out.Len(), len(tc.want))
			}
			size := int64(len(tc.want) - sha256.Size)
			if info.Size != size || !bytes.Equal(info.SHA256[:], tc.want[size:]) || info.Version != tc.messages[0].Version {
				t.Errorf("got %+v, want size %d, the digest and version %q", info, size, tc.messages[0].Version)
			}
			if first := (maintenance.Progress{Remaining: size}); seen[0] != first {
				t.Errorf("progress begins with %+v, want %+v", seen[0], first)
			}
			if last := (maintenance.Progress{Received: size}); seen[len(seen)-1] != last {
				t.Errorf("progress ends with %+v, want %+v", seen[len(seen)-1], last)
			}
			for i := 1; i < len(seen); i++ {
				if seen[i].Received <= seen[i-1].Received || seen[i].Received+seen[i].Remaining != size {
					t.Errorf("progress %d is %+v after %+v, want more received of %d", i, seen[i], seen[i-1], size)
				}
			}
		})
	}
}

// An invalid snapshot ends with an error, and the digest is withheld.
func TestUnsoundSnapshots(t *testing.T) {
	db := content(2*part + 512)
	flipped := slices.Clone(db)
	flipped[part+7] ^= 1
	good := parts(db)
	damaged := append(parts(flipped)[:3], good[3])
	for _, tc := range []struct {
		name     string
		messages []*pb.SnapshotResponse
		want     error
		received int64 // of the TruncatedError
	}{
		{"a changed bit", damaged, maintenance.ErrChecksumMismatch, 0},
		{"nothing", nil, io.ErrUnexpectedEOF, 0},
		{"no digest", good[:3], io.ErrUnexpectedEOF, int64(len(db))},
		{"half a digest", append(slices.Clone(good[:3]), &pb.SnapshotResponse{Blob: good[3].Blob[:16]}), io.ErrUnexpectedEOF, int64(len(db)) + 16},
		{"no end", good[:2], io.ErrUnexpectedEOF, 2 * part},
		{"a hole", []*pb.SnapshotResponse{good[0], good[2], good[3]}, io.ErrUnexpectedEOF, part + 512 + sha256.Size},
		{"too much", append(slices.Clone(good), good[2]), io.ErrUnexpectedEOF, int64(len(db)) + sha256.Size + 512},
		// etcd sends this message over and over if it cannot read its database.
		{"empty parts", append(slices.Clone(good[:2]), &pb.SnapshotResponse{RemainingBytes: 512}), io.ErrUnexpectedEOF, 2 * part},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out bytes.Buffer
			_, err := service(t, sending(tc.messages)).Save(t.Context(), &out)
			if !errors.Is(err, tc.want) {
				t.Fatalf("got error %v, want %v", err, tc.want)
			}
			if e, ok := errors.AsType[*maintenance.TruncatedError](err); ok && e.Received != tc.received {
				t.Errorf("got %v, want one that says %d bytes came", err, tc.received)
			}
			if e, ok := errors.AsType[*maintenance.ChecksumError](err); ok && (e.Got != sha256.Sum256(flipped) || e.Want != sha256.Sum256(db) || e.Size != int64(len(db))) {
				t.Errorf("got %v, want the two digests", err)
			}
			if out.Len() > len(db) {
				t.Errorf("%d bytes were written, want none of the digest, at most %d", out.Len(), len(db))
			}
		})
	}
}

// The reader keeps io.Reader's contract, for all buffer sizes.
func TestReader(t *testing.T) {
	db := content(part + 700)
	for _, wrap := range []func(io.Reader) io.Reader{
		func(r io.Reader) io.Reader { return r },
		iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader,
	} {
		s := service(t, sending(parts(db)))
		resp, err := s.SnapshotWithVersion(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if resp.Version != "3.7.0" {
			t.Errorf("version is %q, want 3.7.0", resp.Version)
		}
		got, err := io.ReadAll(wrap(resp.Snapshot))
		if err != nil || !bytes.Equal(got, withDigest(db)) {
			t.Errorf("read %d bytes and %v, want the content and its digest, %d", len(got), err, len(db)+sha256.Size)
		}
		if n, err := resp.Snapshot.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("after the end: got %d, %v; want 0 and EOF again", n, err)
		}
		if err := resp.Snapshot.Close(); err != nil {
			t.Error(err)
		}
	}
}

// stuck sends one part and then waits for the end of the stream.
func stuck(db []byte) *member {
	return &member{snapshot: func(stream pb.Maintenance_SnapshotServer) error {
		if err := stream.Send(parts(db)[0]); err != nil {
			return err
		}
		<-stream.Context().Done()
		return stream.Context().Err()
	}}
}

func TestSnapshotEndsWithItsContext(t *testing.T) {
	s := service(t, stuck(content(2*part)))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := s.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, part)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if _, err := s.OpenSnapshot(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("opening with an ended context: got %v, want %v", err, context.Canceled)
	}
}

func TestCloseEndsRead(t *testing.T) {
	db := content(2 * part)
	r, err := service(t, stuck(db)).OpenSnapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r.Size() != int64(len(db)) {
		t.Errorf("size is %d, want %d", r.Size(), len(db))
	}
	if _, err := io.ReadFull(r, make([]byte, part)); err != nil {
		t.Fatal(err)
	}
	if got, want := r.Progress(), (maintenance.Progress{Received: part, Remaining: part}); got != want {
		t.Errorf("progress is %+v, want %+v", got, want)
	}
	result := make(chan error, 1)
	go func() {
		_, err := r.Read(make([]byte, 1))
		result <- err
	}()
	_ = r.Close()
	_ = r.Close()
	if err := <-result; !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("Read during Close: got %v, want %v", err, io.ErrClosedPipe)
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("Read after Close: got %v, want %v", err, io.ErrClosedPipe)
	}
}

func TestSaveFile(t *testing.T) {
	db := content(part + 1024)
	path := filepath.Join(t.TempDir(), "backup.db")
	if err := os.WriteFile(path, []byte("the one before"), 0o600); err != nil {
		t.Fatal(err)
	}
	read := func() string {
		t.Helper()
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	alone := func() {
		t.Helper()
		if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 1 {
			t.Errorf("the directory has %v, %v; want the one file", files, err)
		}
	}

	if _, err := service(t, sending(parts(db)[:2])).SaveFile(t.Context(), path); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v, want %v", err, io.ErrUnexpectedEOF)
	}
	if got := read(); got != "the one before" {
		t.Errorf("after a failure the file has %d bytes, want what it had", len(got))
	}
	alone()

	if _, err := service(t, sending(parts(db))).SaveFile(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if got, want := read(), string(withDigest(db)); got != want {
		t.Errorf("the file has %d bytes, want the content and its digest, %d", len(got), len(want))
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v, %v; want 0600", info.Mode(), err)
	}
	alone()

	missing := filepath.Join(t.TempDir(), "no", "directory")
	if _, err := service(t, sending(parts(db))).SaveFile(t.Context(), missing); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want %v", err, os.ErrNotExist)
	}
}

type full struct{ after int }

func (w *full) Write(p []byte) (int, error) {
	if w.after -= len(p); w.after < 0 {
		return 0, errors.New("disk full")
	}
	return len(p), nil
}

func TestSaveReturnsTheWritersError(t *testing.T) {
	_, err := service(t, sending(parts(content(4*part)))).Save(t.Context(), &full{after: part})
	if err == nil || err.Error() != "disk full" {
		t.Errorf("got %v, want the writer's error", err)
	}
}

// SaveFile neither follows nor writes a file or a link that is already in the
// place of the unfinished file. Only the owner can read the snapshot, at any
// time.
func TestSaveFileTouchesNoOtherFile(t *testing.T) {
	db := content(part + 1024)
	dir := t.TempDir()
	path, other := filepath.Join(dir, "backup.db"), filepath.Join(t.TempDir(), "passwd")
	if err := os.WriteFile(other, []byte("root"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(other, path+".part"); err != nil {
		t.Skip(err)
	}
	var unfinished []os.FileInfo
	look := maintenance.WithProgress(func(maintenance.Progress) {
		names, err := filepath.Glob(path + ".*.part")
		if err != nil || len(names) != 1 {
			t.Errorf("unfinished files are %v, %v, want one", names, err)
			return
		}
		info, err := os.Lstat(names[0])
		if err != nil {
			t.Error(err)
			return
		}
		unfinished = append(unfinished, info)
	})
	if _, err := service(t, sending(parts(db))).SaveFile(t.Context(), path, look); err != nil {
		t.Fatal(err)
	}
	if len(unfinished) == 0 {
		t.Error("nothing was seen of the unfinished file")
	}
	for _, info := range unfinished {
		if info.Mode() != 0o600 {
			t.Errorf("the unfinished file's mode is %v, want 0600", info.Mode())
		}
	}
	if b, err := os.ReadFile(other); err != nil || string(b) != "root" {
		t.Errorf("the other file has %d bytes, %v, want what it had", len(b), err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("the snapshot is %v, %v; want a file of mode 0600", info, err)
	}
}

// Two concurrent saves do not write into each other's files.
func TestTwoSaveFilesAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "backup.db")
	db := content(4 * part)
	var wg sync.WaitGroup
	for range 4 {
		s := service(t, sending(parts(db)))
		wg.Go(func() {
			if _, err := s.SaveFile(t.Context(), path); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, withDigest(db)) {
		t.Errorf("the file has %d bytes, %v, want one whole snapshot", len(b), err)
	}
	if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 1 {
		t.Errorf("the directory has %v, %v; want the one file", files, err)
	}
}
