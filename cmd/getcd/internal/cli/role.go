package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/auth"
	"github.com/getcd/getcd/cmd/getcd/internal/exit"
	"github.com/getcd/getcd/cmd/getcd/internal/output"
	"github.com/getcd/getcd/cmd/getcd/internal/request"
)

func (a *app) roleCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "role <subcommand>",
		Short:   "Role related commands",
		GroupID: groupAuthentication,
	}
	cmd.AddCommand(
		a.roleAddCommand(), a.roleDeleteCommand(), a.roleGetCommand(), a.roleListCommand(),
		a.roleGrantPermissionCommand(), a.roleRevokePermissionCommand(),
	)
	return cmd
}

func (a *app) roleAddCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "add <role name>",
		Short: "Add a role",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := nArgs("role add", args, "the role's name"); err != nil {
				return err
			}
			return a.once(cmd, output.Administration, func(ctx context.Context, s *session) error {
				r, err := s.RoleAdd(ctx, args[0])
				if err != nil {
					return err
				}
				return s.print.Done("Role "+args[0]+" created", (*pb.AuthRoleAddResponse)(r))
			})
		},
	}
}

func (a *app) roleDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "delete <role name>",
		Short: "Delete a role, from all users too",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := nArgs("role delete", args, "the role's name"); err != nil {
				return err
			}
			return a.once(cmd, output.Administration, func(ctx context.Context, s *session) error {
				r, err := s.RoleDelete(ctx, args[0])
				if err != nil {
					return err
				}
				return s.print.Done("Role "+args[0]+" deleted", (*pb.AuthRoleDeleteResponse)(r))
			})
		},
	}
}

func (a *app) roleGetCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "get <role name>",
		Short: "Show the permissions of a role",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := nArgs("role get", args, "the role's name"); err != nil {
				return err
			}
			return a.once(cmd, output.Any, func(ctx context.Context, s *session) error {
				r, err := s.RoleGet(ctx, args[0])
				if err != nil {
					return err
				}
				return s.print.Role(args[0], (*pb.AuthRoleGetResponse)(r))
			})
		},
	}
}

func (a *app) roleListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the roles",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := noArgs("role list", args); err != nil {
				return err
			}
			return a.once(cmd, output.Any, func(ctx context.Context, s *session) error {
				r, err := s.RoleList(ctx)
				if err != nil {
					return err
				}
				return s.print.RoleList((*pb.AuthRoleListResponse)(r))
			})
		},
	}
}

func (a *app) roleGrantPermissionCommand() *cobra.Command {
	var keys request.Permission
	cmd := &cobra.Command{
		Use:   "grant-permission [options] <role name> <permission type> <key> [endkey]",
		Short: "Let a role read, write or both (readwrite) a key or a range of keys",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) < 3 {
				return exit.Errorf(exit.BadArgs, "role grant-permission needs the role's name, read, write or readwrite, and a key, and may be given the end of a range; got %d arguments", len(args))
			}
			kind, err := auth.ParsePermissionType(args[1])
			if err != nil {
				return exit.With(exit.BadArgs, err)
			}
			key, end, err := keys.Range(args[2:])
			if err != nil {
				return err
			}
			return a.once(cmd, output.Administration, func(ctx context.Context, s *session) error {
				r, err := s.RoleGrantPermission(ctx, args[0], key, end, kind)
				if err != nil {
					return err
				}
				return s.print.Done(fmt.Sprintf("Role %s updated", args[0]), (*pb.AuthRoleGrantPermissionResponse)(r))
			})
		},
	}
	permissionFlags(cmd.Flags(), &keys)
	return cmd
}

func (a *app) roleRevokePermissionCommand() *cobra.Command {
	var keys request.Permission
	cmd := &cobra.Command{
		Use:   "revoke-permission <role name> <key> [endkey]",
		Short: "Revoke the permission on a key or a range of keys from a role",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return exit.Errorf(exit.BadArgs, "role revoke-permission needs the role's name and a key, and may be given the end of a range; got %d arguments", len(args))
			}
			key, end, err := keys.Range(args[1:])
			if err != nil {
				return err
			}
			return a.once(cmd, output.Administration, func(ctx context.Context, s *session) error {
				r, err := s.RoleRevokePermission(ctx, args[0], key, end)
				if err != nil {
					return err
				}
				return s.print.Done(output.Revoked(args[0], args[1], end), (*pb.AuthRoleRevokePermissionResponse)(r))
			})
		},
	}
	permissionFlags(cmd.Flags(), &keys)
	return cmd
}

func permissionFlags(fs *pflag.FlagSet, p *request.Permission) {
	fs.BoolVar(&p.Prefix, "prefix", false, "mean the keys that start with the given one")
	fs.BoolVar(&p.FromKey, "from-key", false, "mean the keys that are equal to or above the given one, by bytes")
}
