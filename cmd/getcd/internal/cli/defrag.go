package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/cmd/getcd/internal/output"
)

func (a *app) defragCommand() *cobra.Command {
	var cluster bool
	cmd := &cobra.Command{
		Use:   "defrag",
		Short: "Give the unused part of the members' databases back to their disks",
		Long: `Give the unused part of the members' databases back to their disks.

A member answers nobody while it does so. The endpoints are defragmented one
after the other, and --command-timeout is for each of them.`,
		GroupID: groupCluster,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, _, err := a.endpointSettings(cmd, output.Any)
			if err != nil {
				return err
			}
			probes, err := s.probes(cmd.Context(), cluster)
			if err != nil {
				return err
			}
			var failure error
			for _, p := range probes {
				start := time.Now()
				err := s.defrag(cmd.Context(), p)
				took := time.Since(start)
				if err != nil {
					failure = err
					say(a.Err, "Failed to defragment etcd member[%s]. took %s. (%v)\n", p.name, took, err)
					continue
				}
				if _, err := fmt.Fprintf(a.Out, "Finished defragmenting etcd member[%s]. took %s\n", p.name, took); err != nil {
					return err
				}
			}
			return told(failure)
		},
	}
	clusterFlag(cmd.PersistentFlags(), &cluster)
	return cmd
}

func (s *settings) defrag(ctx context.Context, p probe) error {
	c, err := s.dialProbe(ctx, p)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // has no error to return
	ctx, cancel := context.WithTimeout(ctx, s.flags.commandTimeout)
	defer cancel()
	_, err = pb.NewMaintenanceClient(c.Conn()).Defragment(ctx, &pb.DefragmentRequest{})
	return err
}
