package cli

import (
	"context"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/cmd/getcd/internal/output"
	"github.com/getcd/getcd/maintenance"
)

func (a *app) alarmCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "alarm <subcommand>",
		Short:   "Alarm related commands",
		GroupID: groupCluster,
	}
	cmd.AddCommand(
		&cobra.Command{
			Use:   "disarm",
			Short: "Disarm all alarms",
			RunE: func(cmd *cobra.Command, args []string) error {
				if err := noArgs("alarm disarm", args); err != nil {
					return err
				}
				return a.once(cmd, output.Administration, func(ctx context.Context, s *session) error {
					// No member and no kind: all alarms of all members.
					r, err := s.AlarmDisarm(ctx, &maintenance.AlarmMember{})
					if err != nil {
						return err
					}
					// etcdctl asks for each alarm by itself, and prints none of the
					// headers.
					return s.print.Alarm(&pb.AlarmResponse{Alarms: (*pb.AlarmResponse)(r).GetAlarms()})
				})
			},
		},
		&cobra.Command{
			Use:   "list",
			Short: "List the alarms that are raised",
			RunE: func(cmd *cobra.Command, args []string) error {
				if err := noArgs("alarm list", args); err != nil {
					return err
				}
				return a.once(cmd, output.Any, func(ctx context.Context, s *session) error {
					r, err := s.AlarmList(ctx)
					if err != nil {
						return err
					}
					return s.print.Alarm((*pb.AlarmResponse)(r))
				})
			},
		},
	)
	return cmd
}
