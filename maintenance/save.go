package maintenance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/internal/misuse"
)

// SnapshotInfo is what is known of a snapshot that was saved.
type SnapshotInfo struct {
	// Header is the first message's, or nil; servers up to 3.7 send none.
	Header *pb.ResponseHeader
	// Version is SnapshotResponse's.
	Version string
	// Size is the length of the database file in bytes. What was written is 32
	// bytes longer, by the digest.
	Size int64
	// SHA256 is the digest, verified.
	SHA256 [digestSize]byte
}

// Save writes a snapshot to w and verifies it. After an error w has a part that
// is no valid snapshot: without its digest, which comes last, etcdutl refuses it.
func (s *Service) Save(ctx context.Context, w io.Writer, opts ...SnapshotOption) (SnapshotInfo, error) {
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

// SaveFile saves a snapshot to a file that only its owner may read, since it has
// all the cluster's data. The file appears, or replaces the one that was there,
// when the snapshot is complete, verified and on the disk; until then it is in a file
// of its own beside it, path.RANDOM.part, which an error removes. One that a crash has
// left is not used again, and may be removed. Of two that save to one path at once the
// last to complete stays.
func (s *Service) SaveFile(ctx context.Context, path string, opts ...SnapshotOption) (SnapshotInfo, error) {
	// Before there is a file.
	if err := misuse.Context(ctx, "maintenance: SaveFile"); err != nil {
		return SnapshotInfo{}, err
	}
	if err := misuse.Options("maintenance: SaveFile", opts); err != nil {
		return SnapshotInfo{}, err
	}
	// CreateTemp creates it with O_EXCL and mode 0600. So nobody can have opened it
	// before, or have put a link there to have another file written.
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
		_ = os.Remove(part) // the first error is the one that tells
		return SnapshotInfo{}, err
	}
	// The new name is on the disk when the directory is; where directories cannot
	// be synced (Windows) the file system sees to it.
	if dir, err := os.Open(filepath.Dir(path)); err == nil {
		_ = dir.Sync()
		_ = dir.Close()
	}
	return info, nil
}
