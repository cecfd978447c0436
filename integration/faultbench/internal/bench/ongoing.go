package bench

import (
	"context"
	"errors"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// These faults continue until they are healed.

// The timing of a lossy link. 200 ms is the shortest time after which Linux
// retransmits a lost segment (TCP_RTO_MIN). A second loss doubles it.
const (
	lossRetransmit = 200 * time.Millisecond
	lossLeastFlow  = 50 * time.Millisecond
	lossMostFlow   = 400 * time.Millisecond
)

// lose makes the victim's client link behave like TCP with packet loss: from time
// to time nothing arrives until the lost segment is retransmitted.
func lose(ctx context.Context, s *stage) error {
	link := s.victim.ClientLink()
	random := s.rand
	for {
		flow := lossLeastFlow + time.Duration(random.Int64N(int64(lossMostFlow-lossLeastFlow)))
		if err := sleep(ctx, flow); err != nil {
			return err
		}
		stall := lossRetransmit
		if random.IntN(4) == 0 {
			stall *= 3 // as if the segment was lost twice
		}
		if err := link.Blackhole(); err != nil {
			return err
		}
		err := sleep(ctx, stall)
		if err := errors.Join(err, link.Heal()); err != nil {
			return err
		}
	}
}

const (
	ballastKey    = "ballast/"
	ballastPieces = 64
	ballastSize   = 1 << 20 // of one piece; etcd accepts requests of up to 1.5 MiB
	// defragmentPause is the pause between two defragmentations.
	defragmentPause = time.Second
)

// ballast makes the database so large that defragmenting it takes time. The history of the
// faults before is compacted, so that the time is that of the ballast alone.
func ballast(ctx context.Context, s *stage) error {
	kv := pb.NewKVClient(s.control(s.cluster.Members()[0]))
	value := make([]byte, ballastSize)
	var written *pb.PutResponse
	for i := range ballastPieces {
		var err error
		if written, err = kv.Put(ctx, &pb.PutRequest{Key: append([]byte(ballastKey), byte(i)), Value: value}); err != nil {
			return err
		}
	}
	if _, err := kv.Compact(ctx, &pb.CompactionRequest{Revision: written.GetHeader().GetRevision(), Physical: true}); err != nil {
		return err
	}
	s.atEnd(func(ctx context.Context) error {
		_, err := kv.DeleteRange(ctx, &pb.DeleteRangeRequest{Key: []byte(ballastKey), RangeEnd: []byte("ballast0")})
		return err
	})
	return nil
}

// defragment makes the victim defragment its database over and over. Meanwhile
// the victim answers nothing that needs the database.
func defragment(ctx context.Context, s *stage) error {
	maintenance := pb.NewMaintenanceClient(s.control(s.victim))
	for {
		// A defragmentation does not end when its caller does. Waiting for it
		// keeps the fault within its time.
		if _, err := maintenance.Defragment(context.WithoutCancel(ctx), &pb.DefragmentRequest{}); err != nil {
			return err
		}
		if err := sleep(ctx, defragmentPause); err != nil {
			return err
		}
	}
}
