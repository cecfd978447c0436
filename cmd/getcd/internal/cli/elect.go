package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/cmd/getcd/internal/exit"
	"github.com/getcd/getcd/cmd/getcd/internal/output"
	"github.com/getcd/getcd/election"
)

// electTTL is the life of a candidate that does not come to resign: etcdctl's.
const electTTL = time.Minute

func (a *app) electCommand() *cobra.Command {
	var listen bool
	cmd := &cobra.Command{
		Use:   "elect <election-name> [proposal]",
		Short: "Stand for election, or watch who is elected",
		Long: `Stand for election with a proposal, and wait to be elected. Then the candidate's
key and proposal are printed, and it leads until the process is interrupted
(SIGINT or SIGTERM), when it resigns, or until its lease is lost, which is an
error.

With --listen, print each leader and each of its proposals, until interrupted.`,
		GroupID: groupConcurrency,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) != 1 && len(args) != 2:
				return exit.Errorf(exit.BadArgs, "elect needs the name of an election, and a proposal unless --listen is set; got %d arguments", len(args))
			case len(args) == 1 && !listen:
				return exit.Errorf(exit.BadArgs, "elect needs a proposal to stand for election with, or --listen to watch who is elected")
			case len(args) == 2 && listen:
				return exit.Errorf(exit.BadArgs, "elect takes no proposal when --listen is set: who listens does not stand for election")
			}
			s, err := a.open(cmd, output.KeyValues)
			if err != nil {
				return err
			}
			defer s.close()
			if err := s.reach(cmd.Context()); err != nil {
				return err
			}
			e, err := election.New(s.Conn(), args[0], election.WithTTL(electTTL))
			if err != nil {
				return exit.With(exit.BadArgs, err)
			}
			ctx, stop := untilSignal(cmd.Context())
			defer stop(nil)
			if listen {
				return s.observe(ctx, e)
			}
			return s.campaign(ctx, e, args[1])
		},
	}
	cmd.Flags().BoolVarP(&listen, "listen", "l", false, "watch who is elected")
	return cmd
}

// observe prints the leaders until ctx ends.
func (s *session) observe(ctx context.Context, e *election.Election) error {
	for r, err := range e.Leaders(ctx) {
		switch {
		case ctx.Err() != nil:
			return nil // as the user wished
		case err != nil:
			return err
		case len(r.Kvs) == 0: // nobody leads, for which no format has words
		default:
			// Without the count, which etcdctl does not have.
			if err := s.print.Get(&pb.RangeResponse{Header: r.Header, Kvs: r.Kvs}); err != nil {
				return err
			}
		}
	}
	return nil
}

// campaign leads until ctx ends.
func (s *session) campaign(ctx context.Context, e *election.Election, proposal string) (err error) {
	if err := e.Campaign(ctx, proposal); err != nil {
		return err // it has left no candidate behind
	}
	defer func() {
		ctx, cancel := s.timeout(context.WithoutCancel(ctx))
		defer cancel()
		// That the leadership was lost tells more.
		if resignErr := e.Resign(ctx); err == nil {
			err = resignErr
		}
	}()
	if err := s.printHolder(ctx, e.Key(), "leadership"); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case <-e.Done():
		return e.Err()
	}
}
