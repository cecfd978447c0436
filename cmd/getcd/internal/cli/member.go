package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/cmd/getcd/internal/exit"
	"github.com/getcd/getcd/cmd/getcd/internal/output"
	"github.com/getcd/getcd/cmd/getcd/internal/request"
	"github.com/getcd/getcd/kv"
)

func (a *app) memberCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "member <subcommand>",
		Short:   "Membership related commands",
		GroupID: groupCluster,
	}
	cmd.AddCommand(
		a.memberAddCommand(), a.memberRemoveCommand(), a.memberUpdateCommand(),
		a.memberListCommand(), a.memberPromoteCommand(),
	)
	return cmd
}

func (a *app) memberAddCommand() *cobra.Command {
	var (
		peerURLs string
		learner  bool
	)
	cmd := &cobra.Command{
		Use:   "add <memberName> [options]",
		Short: "Add a member to the cluster",
		Long: `Add a member to the cluster.

In the simple format the environment to start the member in is printed too. A
learner follows the others without a vote until it is promoted.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				hint := ""
				for _, arg := range args {
					if strings.HasPrefix(strings.ToLower(arg), "http") {
						hint = "; peer URLs go into --peer-urls=" + arg
					}
				}
				return exit.Errorf(exit.BadArgs, "member add needs the member's name; got %d arguments%s", len(args), hint)
			}
			if peerURLs == "" {
				return exit.Errorf(exit.BadArgs, "member add needs --peer-urls: the URLs at which the others will find the member, comma-separated")
			}
			return a.once(cmd, output.Operations, func(ctx context.Context, s *session) error {
				add := s.MemberAdd
				if learner {
					add = s.MemberAddAsLearner
				}
				r, err := add(ctx, strings.Split(peerURLs, ","))
				if err != nil {
					return err
				}
				return s.print.MemberAdd(args[0], peerURLs, (*pb.MemberAddResponse)(r))
			})
		},
	}
	cmd.Flags().StringVar(&peerURLs, "peer-urls", "", "peer URLs of the member, comma-separated")
	cmd.Flags().BoolVar(&learner, "learner", false, "add the member as a learner, which has no vote")
	return cmd
}

func (a *app) memberRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "remove <memberID>",
		Short: "Remove a member from the cluster, for good",
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := memberArg("member remove", args)
			if err != nil {
				return err
			}
			return a.once(cmd, output.Operations, func(ctx context.Context, s *session) error {
				r, err := s.MemberRemove(ctx, id)
				if err != nil {
					return err
				}
				return s.memberChanged(id, "removed from", (*pb.MemberRemoveResponse)(r))
			})
		},
	}
}

func (a *app) memberUpdateCommand() *cobra.Command {
	var peerURLs string
	cmd := &cobra.Command{
		Use:   "update <memberID> [options]",
		Short: "Replace the peer URLs of a member",
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := memberArg("member update", args)
			if err != nil {
				return err
			}
			if peerURLs == "" {
				return exit.Errorf(exit.BadArgs, "member update needs --peer-urls: the URLs at which the others will find the member, comma-separated")
			}
			return a.once(cmd, output.Operations, func(ctx context.Context, s *session) error {
				r, err := s.MemberUpdate(ctx, id, strings.Split(peerURLs, ","))
				if err != nil {
					return err
				}
				return s.memberChanged(id, "updated in", (*pb.MemberUpdateResponse)(r))
			})
		},
	}
	cmd.Flags().StringVar(&peerURLs, "peer-urls", "", "peer URLs of the member, comma-separated")
	return cmd
}

func (a *app) memberPromoteCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "promote <memberID>",
		Short: "Give a learner, which has no vote, a vote",
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := memberArg("member promote", args)
			if err != nil {
				return err
			}
			return a.once(cmd, output.Operations, func(ctx context.Context, s *session) error {
				r, err := s.MemberPromote(ctx, id)
				if err != nil {
					return err
				}
				return s.memberChanged(id, "promoted in", (*pb.MemberPromoteResponse)(r))
			})
		},
	}
}

func (a *app) memberListCommand() *cobra.Command {
	var consistency string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the members of the cluster",
		Long: `List the members of the cluster.

In the simple format the columns are ID, status, name, peer addresses, client
addresses, and whether the member is a learner.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			serializable, err := request.Serializable(consistency)
			if err != nil {
				return err
			}
			return a.once(cmd, output.Members, func(ctx context.Context, s *session) error {
				var opts []kv.OpOption
				if serializable {
					opts = append(opts, kv.WithSerializable())
				}
				r, err := s.MemberList(ctx, opts...)
				if err != nil {
					return err
				}
				return s.print.MemberList((*pb.MemberListResponse)(r))
			})
		},
	}
	cmd.Flags().StringVar(&consistency, "consistency", "l", "linearizable (l) or serializable (s)")
	return cmd
}

// memberChanged prints what was done to the member with that ID.
func (s *session) memberChanged(id uint64, done string, r output.MemberChange) error {
	return s.print.MemberChange(fmt.Sprintf("Member %16x %s cluster %16x", id, done, r.GetHeader().GetClusterId()), r)
}

// memberArg reads the one argument of a command: a member's ID, as member list
// prints it.
func memberArg(command string, args []string) (uint64, error) {
	if err := nArgs(command, args, "the member's ID in hexadecimal, as member list prints it"); err != nil {
		return 0, err
	}
	id, err := strconv.ParseUint(args[0], 16, 64)
	if err != nil {
		return 0, exit.Errorf(exit.BadArgs, "bad member ID %q: want up to 16 hexadecimal digits, as member list prints it", args[0])
	}
	return id, nil
}
