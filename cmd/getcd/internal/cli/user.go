package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/auth"
	"github.com/getcd/getcd/cmd/getcd/internal/exit"
	"github.com/getcd/getcd/cmd/getcd/internal/output"
)

func (a *app) userCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "user <subcommand>",
		Short:   "User related commands",
		GroupID: groupAuthentication,
	}
	cmd.AddCommand(
		a.userAddCommand(), a.userDeleteCommand(), a.userGetCommand(), a.userListCommand(),
		a.userPasswdCommand(), a.userGrantRoleCommand(), a.userRevokeRoleCommand(),
	)
	return cmd
}

func (a *app) userAddCommand() *cobra.Command {
	var (
		interactive, none bool
		password          string
	)
	cmd := &cobra.Command{
		Use:   "add <user name or user:password> [options]",
		Short: "Add a user",
		Long: `Add a user.

The password is what follows the name's first colon, or --new-user-password; the
name is the whole argument then. Without either it is asked for, twice, without
showing what is typed. With --interactive=false it is the first word of stdin.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := nArgs("user add", args, "the user's name"); err != nil {
				return err
			}
			name := args[0]
			switch {
			case none:
			case password != "":
			default:
				var given bool
				if name, password, given = strings.Cut(args[0], ":"); given {
					if name == "" {
						return exit.Errorf(exit.BadArgs, "the user's name is empty: want name:password")
					}
					break
				}
				var err error
				if password, err = a.newPassword(name, interactive); err != nil {
					return err
				}
			}
			return a.once(cmd, output.Administration, func(ctx context.Context, s *session) error {
				r, err := s.UserAddWithOptions(ctx, name, password, &auth.UserAddOptions{NoPassword: none})
				if err != nil {
					return err
				}
				return s.print.Done("User "+name+" created", (*pb.AuthUserAddResponse)(r))
			})
		},
	}
	cmd.Flags().BoolVar(&interactive, "interactive", true, "ask for the password on the terminal; if false, read it from stdin")
	cmd.Flags().StringVar(&password, "new-user-password", "", "password of the user (which other users of this machine may see)")
	cmd.Flags().BoolVar(&none, "no-password", false, "add a user without a password, who can log in with a TLS certificate of that name alone")
	return cmd
}

func (a *app) userDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "delete <user name>",
		Short: "Delete a user",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := nArgs("user delete", args, "the user's name"); err != nil {
				return err
			}
			return a.once(cmd, output.Administration, func(ctx context.Context, s *session) error {
				r, err := s.UserDelete(ctx, args[0])
				if err != nil {
					return err
				}
				return s.print.Done("User "+args[0]+" deleted", (*pb.AuthUserDeleteResponse)(r))
			})
		},
	}
}

func (a *app) userGetCommand() *cobra.Command {
	var detail bool
	cmd := &cobra.Command{
		Use:   "get <user name> [options]",
		Short: "Show the roles of a user",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := nArgs("user get", args, "the user's name"); err != nil {
				return err
			}
			return a.once(cmd, output.Any, func(ctx context.Context, s *session) error {
				r, err := s.UserGet(ctx, args[0])
				if err != nil {
					return err
				}
				if detail {
					return s.printRoles(ctx, args[0], r.Roles)
				}
				return s.print.User(args[0], (*pb.AuthUserGetResponse)(r))
			})
		},
	}
	cmd.Flags().BoolVar(&detail, "detail", false, "show the permissions of the roles too")
	return cmd
}

// printRoles prints a user's roles one after the other. The line that starts it
// and the empty lines are etcdctl's in every format, json too.
func (s *session) printRoles(ctx context.Context, user string, roles []string) error {
	out := s.settings.Out
	if _, err := fmt.Fprintf(out, "User: %s\n", user); err != nil {
		return err
	}
	for _, role := range roles {
		if _, err := fmt.Fprintln(out); err != nil {
			return err
		}
		r, err := s.RoleGet(ctx, role)
		if err != nil {
			return fmt.Errorf("role %s: %w", role, err)
		}
		if err := s.print.Role(role, (*pb.AuthRoleGetResponse)(r)); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) userListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the users",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := noArgs("user list", args); err != nil {
				return err
			}
			return a.once(cmd, output.Any, func(ctx context.Context, s *session) error {
				r, err := s.UserList(ctx)
				if err != nil {
					return err
				}
				return s.print.UserList((*pb.AuthUserListResponse)(r))
			})
		},
	}
}

func (a *app) userPasswdCommand() *cobra.Command {
	var interactive bool
	cmd := &cobra.Command{
		Use:   "passwd <user name> [options]",
		Short: "Change the password of a user",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := nArgs("user passwd", args, "the user's name"); err != nil {
				return err
			}
			password, err := a.newPassword(args[0], interactive)
			if err != nil {
				return err
			}
			return a.once(cmd, output.Administration, func(ctx context.Context, s *session) error {
				r, err := s.UserChangePassword(ctx, args[0], password)
				if err != nil {
					return err
				}
				return s.print.Done("Password updated", (*pb.AuthUserChangePasswordResponse)(r))
			})
		},
	}
	cmd.Flags().BoolVar(&interactive, "interactive", true, "ask for the password on the terminal; if false, read it from stdin")
	return cmd
}

func (a *app) userGrantRoleCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "grant-role <user name> <role name>",
		Short: "Grant a role to a user",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := nArgs("user grant-role", args, "the user's name", "the role's"); err != nil {
				return err
			}
			user, role := args[0], args[1]
			return a.once(cmd, output.Administration, func(ctx context.Context, s *session) error {
				r, err := s.UserGrantRole(ctx, user, role)
				if err != nil {
					return err
				}
				return s.print.Done(fmt.Sprintf("Role %s is granted to user %s", role, user), (*pb.AuthUserGrantRoleResponse)(r))
			})
		},
	}
}

func (a *app) userRevokeRoleCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke-role <user name> <role name>",
		Short: "Revoke a role from a user",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := nArgs("user revoke-role", args, "the user's name", "the role's"); err != nil {
				return err
			}
			user, role := args[0], args[1]
			return a.once(cmd, output.Administration, func(ctx context.Context, s *session) error {
				r, err := s.UserRevokeRole(ctx, user, role)
				if err != nil {
					return err
				}
				return s.print.Done(fmt.Sprintf("Role %s is revoked from user %s", role, user), (*pb.AuthUserRevokeRoleResponse)(r))
			})
		},
	}
}
