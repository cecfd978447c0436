package maintenance

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"sync/atomic"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/internal/closed"
	"github.com/getcd/getcd/internal/misuse"
)

// digestSize is the length of the SHA-256 at the end of a snapshot.
const digestSize = sha256.Size

// Progress says how much of a snapshot was read, in bytes of the database file.
// The 32 bytes of the digest are not counted.
type Progress struct {
	// Received is the number of bytes read. Remaining is the number of bytes to
	// come.
	Received, Remaining int64
}

// SnapshotReader reads a snapshot: the database file, followed by the 32 bytes of
// its SHA-256. Make it with Service.OpenSnapshot, and Close it.
//
// Read returns io.EOF only if the length and the digest of the snapshot are
// right. Otherwise it returns a *TruncatedError, a *ChecksumError, or the error
// of the connection or the context, and never returns the digest. So the data
// read until then is no valid snapshot file.
//
// Read must be called by one goroutine at a time. The other methods are safe for
// concurrent use.
type SnapshotReader struct {
	stream pb.Maintenance_SnapshotClient
	ctx    context.Context //nolint:containedctx // the stream's, to tell why it ended
	cancel context.CancelFunc
	done   func() // closes the connection to the member
	snapshotConfig

	header  *pb.ResponseHeader
	version string
	size    int64 // bytes of content

	read   atomic.Int64 // bytes of content
	closed atomic.Bool
	once   sync.Once

	// Used only by Read.
	chunk  []byte // received but not read yet
	sum    hash.Hash
	digest []byte // the part of the digest that was received but not read yet
	sound  bool   // complete and verified: at most the digest is left to read
	err    error
}

// OpenSnapshot starts a snapshot and returns when its first message has arrived.
// The end of ctx also ends the reading.
func (s *Service) OpenSnapshot(ctx context.Context, opts ...SnapshotOption) (*SnapshotReader, error) {
	if err := misuse.Options("maintenance: Snapshot", opts); err != nil {
		return nil, err
	}
	rpc, done, err := s.member(ctx, "Snapshot", "")
	if err != nil {
		return nil, err
	}
	r := &SnapshotReader{done: done, sum: sha256.New()}
	for _, o := range opts {
		o(&r.snapshotConfig)
	}
	r.ctx, r.cancel = context.WithCancel(ctx)
	first, err := r.begin(rpc, s)
	if err != nil {
		_ = r.Close()
		return nil, err
	}
	r.header, r.version = first.Header, first.Version
	// The first message determines the total size, without the digest.
	r.size = int64(len(first.Blob)) + int64(first.RemainingBytes)
	r.chunk = first.Blob
	r.tell()
	return r, nil
}

func (r *SnapshotReader) begin(rpc pb.MaintenanceClient, s *Service) (*pb.SnapshotResponse, error) {
	var err error
	if r.stream, err = rpc.Snapshot(r.ctx, &pb.SnapshotRequest{}, s.opts...); err != nil {
		return nil, r.explain(err)
	}
	first, err := r.stream.Recv()
	if errors.Is(err, io.EOF) {
		return nil, &TruncatedError{Expected: digestSize}
	}
	return first, r.explain(err)
}

// Header returns the header of the first message, or nil. Servers up to 3.7 send
// none.
func (r *SnapshotReader) Header() *pb.ResponseHeader { return r.header }

// Version returns the version of the member's storage format, such as "3.7.0". It
// is empty from servers before 3.6.
func (r *SnapshotReader) Version() string { return r.version }

// Size returns the length of the database file in bytes. A complete snapshot is
// 32 bytes longer.
func (r *SnapshotReader) Size() int64 { return r.size }

// Progress reports how much was read.
func (r *SnapshotReader) Progress() Progress {
	n := r.read.Load()
	return Progress{Received: n, Remaining: r.size - n}
}

// errClosed is the error of Read after Close. It is net.ErrClosed, as everywhere
// in getcd, and io.ErrClosedPipe, as with other readers.
var errClosed = closed.New("maintenance: the snapshot is closed", io.ErrClosedPipe)

// Read implements io.Reader. After Close, errors.Is finds both net.ErrClosed and
// io.ErrClosedPipe in its error.
func (r *SnapshotReader) Read(p []byte) (int, error) {
	for {
		switch {
		case r.closed.Load():
			return 0, errClosed
		case r.sound && len(r.digest) > 0:
			n := copy(p, r.digest)
			r.digest = r.digest[n:]
			return n, nil
		case r.err != nil:
			return 0, r.err
		case len(p) == 0:
			return 0, nil
		}
		if left := r.size - r.read.Load(); len(r.chunk) > 0 && left > 0 {
			n := copy(p, r.chunk[:min(int64(len(r.chunk)), left)])
			r.sum.Write(p[:n])
			r.chunk = r.chunk[n:]
			r.read.Add(int64(n))
			if len(r.chunk) == 0 || int64(n) == left {
				r.tell()
			}
			return n, nil
		}
		r.digest = append(r.digest, r.chunk...)
		r.chunk = nil
		r.err = r.receive()
		r.sound = errors.Is(r.err, io.EOF)
	}
}

// receive gets the next message. At the end of the stream it verifies the whole
// snapshot.
func (r *SnapshotReader) receive() error {
	if len(r.digest) > digestSize {
		return r.truncated()
	}
	resp, err := r.stream.Recv()
	switch {
	case err == nil:
		// A server that cannot read any more of its database sends empty messages
		// forever.
		if len(resp.Blob) == 0 && resp.RemainingBytes > 0 {
			return r.truncated()
		}
		r.chunk = resp.Blob
		return nil
	case !errors.Is(err, io.EOF):
		return r.explain(err)
	case r.read.Load() != r.size || len(r.digest) != digestSize:
		return r.truncated()
	}
	if got := r.sum.Sum(nil); !bytes.Equal(got, r.digest) {
		return &ChecksumError{Want: [digestSize]byte(r.digest), Got: [digestSize]byte(got), Size: r.size}
	}
	return io.EOF
}

func (r *SnapshotReader) truncated() error {
	return &TruncatedError{Received: r.read.Load() + int64(len(r.digest)), Expected: r.size + digestSize}
}

// explain makes sure that errors.Is finds the context's error if the context has
// ended the stream, on a plain grpc.ClientConn, too.
func (r *SnapshotReader) explain(err error) error {
	switch ended := r.ctx.Err(); {
	case err == nil:
		return nil
	case r.closed.Load():
		return errClosed
	case ended != nil && !errors.Is(err, ended):
		return fmt.Errorf("maintenance: snapshot: %w: %w", ended, err)
	default:
		return err
	}
}

func (r *SnapshotReader) tell() {
	if r.report != nil {
		r.report(r.Progress())
	}
}

// Close ends the snapshot, even if it was not read to its end. It may be called
// more than once, and always returns nil.
func (r *SnapshotReader) Close() error {
	r.closed.Store(true)
	r.once.Do(func() {
		r.cancel()
		r.done()
	})
	return nil
}

// SnapshotWithVersion implements Maintenance.
func (s *Service) SnapshotWithVersion(ctx context.Context) (*SnapshotResponse, error) {
	r, err := s.OpenSnapshot(ctx)
	if err != nil {
		return nil, err
	}
	return &SnapshotResponse{Header: r.header, Snapshot: r, Version: r.version}, nil
}

// Snapshot implements Maintenance.
//
// Deprecated: use SnapshotWithVersion, OpenSnapshot or Save.
func (s *Service) Snapshot(ctx context.Context) (io.ReadCloser, error) {
	r, err := s.OpenSnapshot(ctx)
	if err != nil {
		return nil, err
	}
	return r, nil
}
