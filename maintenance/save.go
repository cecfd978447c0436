package maintenance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/internal/misuse"
)

// SnapshotInfo describes a snapshot that was saved.
type SnapshotInfo struct {
	// Header is the header of the first message, or nil. Servers up to 3.7 send
	// none.
	Header *pb.ResponseHeader
	// Version is SnapshotResponse.Version.
	Version string
	// Size is the length of the database file in bytes. The saved snapshot is 32
	// bytes longer, because the digest follows.
	Size int64
	// SHA256 is the verified digest.
	SHA256 [digestSize]byte
}

// Save writes a snapshot to w and verifies it. If it returns an error, w has an
// incomplete snapshot: the digest comes last, and etcdutl refuses a file without
// it.
func (s *Service) Save(ctx context.Context, w io.Writer, opts ...SnapshotOption) (SnapshotInfo, error) {
	const call = "maintenance: Save" // its name, and the context first, as in all calls
	if err := cmp.Or(misuse.Context(ctx, call), misuse.Options(call, opts), misuse.Nil(call, "writer", w)); err != nil {
		return SnapshotInfo{}, err
	}
	r, err := s.OpenSnapshot(ctx, opts...)
	if err != nil {
		return SnapshotInfo{}, err
	}
	defer func() { _ = r.Close() }()
	if _, err := io.Copy(w, r); err != nil {
		return SnapshotInfo{}, err
	}
	return SnapshotInfo{Header: r.header, Version: r.version, Size: r.size, SHA256: [digestSize]byte(r.sum.Sum(nil))}, nil
}

// SaveFile saves a snapshot to a file. Only the file's owner can read it, since
// it contains all of the cluster's data. The file appears, or replaces an
// existing one, only when the snapshot is complete, verified and on disk. Until
// then the data is in path.RANDOM.part, in the same directory, which SaveFile
// removes if it fails. Such a file that a crash left behind is not used again,
// and can be deleted. If two calls save to one path at once, the one that
// finishes last wins.
func (s *Service) SaveFile(ctx context.Context, path string, opts ...SnapshotOption) (SnapshotInfo, error) {
	// Check ctx before a file is created.
	if err := misuse.Context(ctx, "maintenance: SaveFile"); err != nil {
		return SnapshotInfo{}, err
	}
	if err := misuse.Options("maintenance: SaveFile", opts); err != nil {
		return SnapshotInfo{}, err
	}
	// CreateTemp creates the file with O_EXCL and mode 0600. So nobody can have
	// opened it before, or have put a link in its place that leads to another
	// file.
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.part")
	if err != nil {
		return SnapshotInfo{}, fmt.Errorf("maintenance: snapshot: %w", err)
	}
	part := f.Name()
	info, err := s.Save(ctx, f, opts...)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		_ = os.Remove(part) // return the first error instead
		return SnapshotInfo{}, err
	}
	// Sync the directory, so that the new name is on disk. Where directories
	// cannot be synced (Windows), the file system takes care of it.
	if dir, err := os.Open(filepath.Dir(path)); err == nil {
		_ = dir.Sync()
		_ = dir.Close()
	}
	return info, nil
}
