// Package bare strips errors down to what clientv3's callers compare with ==.
package bare

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// Error returns the context's error that err is because of, or the rpctypes error
// that it stands for, or else err.
func Error(err error) error {
	if err == nil {
		return nil
	}
	for _, end := range []error{context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, end) {
			return end
		}
	}
	if e, ok := errors.AsType[rpctypes.EtcdError](err); ok {
		return e
	}
	return err
}
