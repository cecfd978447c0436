package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/cmd/getcd/internal/exit"
	"github.com/getcd/getcd/cmd/getcd/internal/output"
)

func (a *app) moveLeaderCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "move-leader <transferee-member-id>",
		Short: "Make another member the leader",
		Long: `Make another member the leader.

The endpoints have to include the present leader, which is the one that has to be
told.`,
		GroupID: groupCluster,
		RunE: func(cmd *cobra.Command, args []string) error {
			target, err := memberArg("move-leader", args)
			if err != nil {
				return err
			}
			s, p, err := a.endpointSettings(cmd, output.Operations)
			if err != nil {
				return err
			}
			return s.moveLeader(cmd.Context(), p, target)
		},
	}
}

func (s *settings) moveLeader(ctx context.Context, p output.Printer, target uint64) error {
	probes, err := s.probes(ctx, false)
	if err != nil {
		return err
	}
	found := ask(ctx, s, probes, func(ctx context.Context, c *client.Client, _ string) (*pb.StatusResponse, error) {
		return pb.NewMaintenanceClient(c.Conn()).Status(ctx, &pb.StatusRequest{})
	})
	at, err := leaderAmong(probes, found)
	if err != nil {
		return err
	}
	c, err := s.dialProbe(ctx, probes[at])
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // has no error to return
	ctx, cancel := context.WithTimeout(ctx, s.flags.commandTimeout)
	defer cancel()
	r, err := pb.NewMaintenanceClient(c.Conn()).MoveLeader(ctx, &pb.MoveLeaderRequest{TargetID: target})
	if err != nil {
		return err
	}
	return p.Report(fmt.Sprintf("Leadership transferred from %x to %x", found[at].value.GetLeader(), target), r)
}

// leaderAmong finds the member that says that it is the leader. One that was
// the leader, and has not noticed yet that it is no more, is in an older term
// than the one that is.
func leaderAmong(probes []probe, found []finding[*pb.StatusResponse]) (int, error) {
	at := -1
	var (
		failures []error
		names    []string
	)
	for i, f := range found {
		names = append(names, probes[i].name)
		switch r := f.value; {
		case f.err != nil:
			failures = append(failures, fmt.Errorf("%s: %w", probes[i].name, f.err))
		case r.GetLeader() == r.GetHeader().GetMemberId() && (at < 0 || r.GetRaftTerm() > found[at].value.GetRaftTerm()):
			at = i
		}
	}
	switch {
	case at >= 0:
		return at, nil
	case len(failures) > 0:
		return 0, fmt.Errorf("the leader is not among the endpoints that have answered: %w", errors.Join(failures...))
	}
	return 0, exit.Errorf(exit.BadArgs, "the leader is not among the endpoints %s: name it too, or all members", strings.Join(names, ", "))
}
