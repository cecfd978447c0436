package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/cmd/getcd/internal/exit"
	"github.com/getcd/getcd/cmd/getcd/internal/output"
	"github.com/getcd/getcd/cmd/getcd/internal/request"
	"github.com/getcd/getcd/lease"
)

func (a *app) leaseCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "lease <subcommand>",
		Short:   "Lease related commands",
		GroupID: groupKV,
	}
	cmd.AddCommand(a.leaseGrantCommand(), a.leaseRevokeCommand(), a.leaseTimeToLiveCommand(),
		a.leaseListCommand(), a.leaseKeepAliveCommand())
	return cmd
}

func (a *app) leaseGrantCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "grant <ttl>",
		Short: "Create a lease that lives for <ttl> seconds",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return exit.Errorf(exit.BadArgs, "lease grant needs one argument, the TTL in seconds; got %d", len(args))
			}
			ttl, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil {
				return exit.Errorf(exit.BadArgs, "bad TTL %q: want a number of seconds", args[0])
			}
			return a.once(cmd, output.Leases, func(ctx context.Context, s *session) error {
				// The server raises any TTL to its minimum; the client refuses those below 1.
				r, err := s.Grant(ctx, max(ttl, 1))
				if err != nil {
					return fmt.Errorf("failed to grant a lease: %w", err)
				}
				return s.print.LeaseGrant(&pb.LeaseGrantResponse{
					Header: r.ResponseHeader, ID: int64(r.ID), TTL: r.TTL, Error: r.Error,
				})
			})
		},
	}
}

func (a *app) leaseRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke <leaseID>",
		Short: "Revoke a lease and delete the keys attached to it",
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := leaseArg("revoke", args)
			if err != nil {
				return err
			}
			return a.once(cmd, output.LeaseRevocation, func(ctx context.Context, s *session) error {
				r, err := s.Revoke(ctx, id)
				if err != nil {
					return fmt.Errorf("failed to revoke lease %016x: %w", int64(id), err)
				}
				return s.print.LeaseRevoke(int64(id), (*pb.LeaseRevokeResponse)(r))
			})
		},
	}
}

func (a *app) leaseTimeToLiveCommand() *cobra.Command {
	var keys bool
	cmd := &cobra.Command{
		Use:   "timetolive <leaseID> [options]",
		Short: "Show how long a lease lives, and the keys attached to it",
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := leaseArg("timetolive", args)
			if err != nil {
				return err
			}
			return a.once(cmd, output.Leases, func(ctx context.Context, s *session) error {
				// Not by the library, which has an error for ID 0. The server says that it has expired.
				r, err := pb.NewLeaseClient(s.Conn()).LeaseTimeToLive(ctx, &pb.LeaseTimeToLiveRequest{ID: int64(id), Keys: keys})
				if err != nil {
					return exit.With(exit.BadConnection, err)
				}
				return s.print.LeaseTimeToLive(r, keys)
			})
		},
	}
	cmd.Flags().BoolVar(&keys, "keys", false, "show the keys attached to the lease")
	return cmd
}

func (a *app) leaseListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the leases that are alive",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.once(cmd, output.Leases, func(ctx context.Context, s *session) error {
				r, err := pb.NewLeaseClient(s.Conn()).LeaseLeases(ctx, &pb.LeaseLeasesRequest{})
				if err != nil {
					return exit.With(exit.BadConnection, err)
				}
				return s.print.LeaseList(r)
			})
		},
	}
}

func (a *app) leaseKeepAliveCommand() *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use:   "keep-alive [options] <leaseID>",
		Short: "Keep a lease alive until interrupted, or until it is gone",
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := leaseArg("keep-alive", args)
			if err != nil {
				return err
			}
			s, err := a.open(cmd, output.Leases)
			if err != nil {
				return err
			}
			defer s.close()
			if once {
				return s.keepAliveOnce(cmd.Context(), id)
			}
			return s.keepAlive(cmd.Context(), id)
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "renew the lease once and exit")
	return cmd
}

func (s *session) keepAliveOnce(ctx context.Context, id lease.ID) error {
	ctx, cancel := s.timeout(ctx)
	defer cancel()
	r, err := s.KeepAliveOnce(ctx, id)
	if err != nil {
		return exit.With(exit.BadConnection, err)
	}
	return s.printKeepAlive(r)
}

func (s *session) keepAlive(ctx context.Context, id lease.ID) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	renewals, err := s.KeepAlive(ctx, id)
	// A lease that does not exist is the end of the story, not a failure.
	if err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return exit.With(exit.BadConnection, err)
	}
	if err == nil {
		for r := range renewals {
			if err := s.printKeepAlive(r); err != nil {
				return err
			}
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.print.LeaseEnded(int64(id))
}

func (s *session) printKeepAlive(r *lease.KeepAliveResponse) error {
	return s.print.LeaseKeepAlive(&pb.LeaseKeepAliveResponse{Header: r.ResponseHeader, ID: int64(r.ID), TTL: r.TTL})
}

func leaseArg(command string, args []string) (lease.ID, error) {
	if len(args) != 1 {
		return 0, exit.Errorf(exit.BadArgs, "lease %s needs one argument, the lease's ID in hexadecimal; got %d", command, len(args))
	}
	return request.LeaseID(args[0])
}
