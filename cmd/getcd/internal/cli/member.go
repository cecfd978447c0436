package cli

import (
	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/cmd/getcd/internal/output"
	"github.com/getcd/getcd/cmd/getcd/internal/request"
)

func (a *app) memberCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "member <subcommand>",
		Short:   "Membership related commands",
		GroupID: groupCluster,
	}
	var consistency string
	list := &cobra.Command{
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
			s, err := a.open(cmd, output.Members)
			if err != nil {
				return err
			}
			defer s.close()
			ctx, cancel := s.timeout(cmd.Context())
			defer cancel()
			r, err := pb.NewClusterClient(s.Conn()).MemberList(ctx, &pb.MemberListRequest{Linearizable: !serializable})
			if err != nil {
				return err
			}
			return s.print.MemberList(r)
		},
	}
	list.Flags().StringVar(&consistency, "consistency", "l", "linearizable (l) or serializable (s)")
	cmd.AddCommand(list)
	return cmd
}
