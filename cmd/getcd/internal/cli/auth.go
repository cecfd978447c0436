package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/cmd/getcd/internal/exit"
	"github.com/getcd/getcd/cmd/getcd/internal/output"
)

// rootName is the user that authentication cannot be enabled without, and the
// role that it has to have.
const rootName = "root"

func (a *app) authCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "auth <enable or disable>",
		Short:   "Enable or disable authentication",
		GroupID: groupAuthentication,
	}
	cmd.AddCommand(
		&cobra.Command{
			Use:   "enable",
			Short: "Have the cluster demand a user and heed its permissions",
			Long: `Have the cluster demand a user and heed its permissions.

There has to be a user root. If there is no role root, it is added and granted to
that user.`,
			RunE: func(cmd *cobra.Command, args []string) error {
				if err := noArgs("auth enable", args); err != nil {
					return err
				}
				return a.once(cmd, output.Any, func(ctx context.Context, s *session) error {
					if err := enableAuth(ctx, s); err != nil {
						return err
					}
					say(a.Out, "Authentication Enabled\n")
					return nil
				})
			},
		},
		&cobra.Command{
			Use:   "disable",
			Short: "Have the cluster let everybody do everything",
			RunE: func(cmd *cobra.Command, args []string) error {
				if err := noArgs("auth disable", args); err != nil {
					return err
				}
				return a.once(cmd, output.Any, func(ctx context.Context, s *session) error {
					if _, err := s.AuthDisable(ctx); err != nil {
						return err
					}
					say(a.Out, "Authentication Disabled\n")
					return nil
				})
			},
		},
		&cobra.Command{
			Use:   "status",
			Short: "Show whether authentication is enabled",
			RunE: func(cmd *cobra.Command, args []string) error {
				if err := noArgs("auth status", args); err != nil {
					return err
				}
				return a.once(cmd, output.Any, func(ctx context.Context, s *session) error {
					r, err := s.AuthStatus(ctx)
					if err != nil {
						return err
					}
					return s.print.AuthStatus((*pb.AuthStatusResponse)(r))
				})
			},
		},
	)
	return cmd
}

// enableAuth enables authentication, and makes the role root if that is what
// is missing.
func enableAuth(ctx context.Context, s *session) error {
	_, err := s.AuthEnable(ctx)
	if !errors.Is(err, rpctypes.ErrRootRoleNotExist) {
		return err
	}
	if _, err := s.RoleAdd(ctx, rootName); err != nil {
		if errors.Is(err, rpctypes.ErrRoleAlreadyExist) {
			// Whoever has made the role and not granted it may have a reason.
			return fmt.Errorf("the user root does not have the role root, which exists: grant it with \"user grant-role root root\" first: %w", err)
		}
		return err
	}
	if _, err := s.UserGrantRole(ctx, rootName, rootName); err != nil {
		return err
	}
	_, err = s.AuthEnable(ctx)
	return err
}

// noArgs is for commands that take none.
//
//go:noinline
func noArgs(command string, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return exit.Errorf(exit.BadArgs, "%s takes no arguments; got %d", command, len(args))
}

// nArgs is for commands that take as many arguments as there are names.
func nArgs(command string, args []string, names ...string) error {
	if len(args) == len(names) {
		return nil
	}
	return exit.Errorf(exit.BadArgs, "%s needs %s; got %d arguments", command, strings.Join(names, " and "), len(args))
}
