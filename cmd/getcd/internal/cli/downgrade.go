package cli

import (
	"context"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/cmd/getcd/internal/exit"
	"github.com/getcd/getcd/cmd/getcd/internal/output"
	"github.com/getcd/getcd/maintenance"
)

func (a *app) downgradeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "downgrade <TARGET_VERSION>",
		Short:   "Downgrade related commands",
		GroupID: groupCluster,
	}
	cmd.AddCommand(
		&cobra.Command{
			Use:   "validate <TARGET_VERSION>",
			Short: "Check whether the cluster can be downgraded to a version",
			RunE: func(cmd *cobra.Command, args []string) error {
				target, err := targetVersion("downgrade validate", args)
				if err != nil {
					return err
				}
				return a.downgrade(cmd, maintenance.DowngradeValidate, "validate", target)
			},
		},
		&cobra.Command{
			Use:   "enable <TARGET_VERSION>",
			Short: "Start the downgrade of the cluster to a version",
			RunE: func(cmd *cobra.Command, args []string) error {
				target, err := targetVersion("downgrade enable", args)
				if err != nil {
					return err
				}
				return a.downgrade(cmd, maintenance.DowngradeEnable, "enable", target)
			},
		},
		&cobra.Command{
			Use:   "cancel",
			Short: "End the downgrade that was started",
			RunE: func(cmd *cobra.Command, _ []string) error {
				return a.downgrade(cmd, maintenance.DowngradeCancel, "cancel", "")
			},
		},
	)
	return cmd
}

func (a *app) downgrade(cmd *cobra.Command, action maintenance.DowngradeAction, name, target string) error {
	kind := output.Operations
	if action == maintenance.DowngradeValidate {
		kind = output.Any
	}
	return a.once(cmd, kind, func(ctx context.Context, s *session) error {
		r, err := s.Downgrade(ctx, action, target)
		if err != nil {
			return err
		}
		// It is not the target's version but the cluster's, as before.
		return s.print.Report("Downgrade "+name+" success, cluster version "+(*pb.DowngradeResponse)(r).GetVersion(), (*pb.DowngradeResponse)(r))
	})
}

func targetVersion(command string, args []string) (string, error) {
	if err := nArgs(command, args, "the version to downgrade to, such as 3.6"); err != nil {
		return "", err
	}
	if args[0] == "" {
		return "", exit.Errorf(exit.BadArgs, "the version to downgrade to is empty: want one such as 3.6")
	}
	return args[0], nil
}
