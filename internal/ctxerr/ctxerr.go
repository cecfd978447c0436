// Package ctxerr makes the errors of calls whose context has ended.
package ctxerr

import (
	"context"
	"fmt"
)

// Of returns why ctx has ended: ctx.Err(), and the context's cause if there is one besides.
// errors.Is finds both. It is nil while ctx has not ended.
func Of(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if err == nil || cause == err { //nolint:errorlint // identity is meant: is there a cause besides
		return err
	}
	return fmt.Errorf("%w: %w", err, cause)
}
