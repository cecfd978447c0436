package batch

import "time"

// The limits of one batch.
const (
	// maxOps is how many operations a transaction has. etcd's own limit, unless it is set
	// otherwise (--max-txn-ops), is 128. The rest is left to middleware below, which may
	// add an operation of its own.
	maxOps = 126
	// maxBytes is how large a transaction is. More would gain nothing, and a server's
	// gRPC takes this much whatever --max-request-bytes says: it allows 512 KiB more
	// (api/v3rpc/grpc.go, grpcOverheadBytes). So it is the server's own check that
	// refuses, and then it is certain that nothing was applied.
	maxBytes = 128 << 10
	// maxAnswers is how large the answers of a batch may become, going by those before.
	maxAnswers = 1 << 20
	// maxSmall is how large an operation may be that shares a batch. A larger one gains
	// nothing by company, and would delay it.
	maxSmall = 16 << 10
	// overhead is about what an operation adds to the bytes of its keys and its value.
	overhead = 48
)

// limits are what a server has been found to take.
type limits struct{ ops, bytes int }

var noLimits = limits{ops: maxOps, bytes: maxBytes}

// learned is how long limits are believed in after the last refusal: the servers may be given
// larger ones, or the one with the smallest may be gone.
const learned = time.Minute

// room is how many operations a lane's batches have. It is halved when a batch is refused
// because of one of its operations, and grows again: where refusals are frequent, batches
// become small, and so do the losses.
type room struct {
	ops    int
	answer int // bytes of an answer, lately
}

const (
	firstRoom = 32
	moreRoom  = 8
	leastMean = 64
)

func newRoom() room { return room{ops: firstRoom, answer: leastMean} }

func (l *lane) limitLocked() int {
	return max(1, min(l.conn.limits.ops, l.room.ops, maxAnswers/l.room.answer))
}

func (l *lane) growLocked() {
	l.room.ops = min(l.room.ops+moreRoom, maxOps)
	if c := l.conn; c.limits != noLimits && time.Since(c.limited) >= learned {
		c.limits = noLimits
	}
}

// measureLocked notes the size of a batch's answers. It believes in large ones at once.
func (r *room) measureLocked(n, bytes int) {
	mean := max(bytes/n, leastMean)
	r.answer = max(mean, (3*r.answer+mean)/4)
}
