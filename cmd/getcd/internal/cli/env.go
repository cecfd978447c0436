package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

const (
	envPrefix = "ETCDCTL_"
	// The two that stand for arguments of watch, not for flags.
	envWatchKey = envPrefix + "WATCH_KEY"
	envWatchEnd = envPrefix + "WATCH_RANGE_END"
)

// envName is the environment variable that stands for a flag:
// ETCDCTL_DIAL_TIMEOUT for --dial-timeout.
func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// applyEnv sets the flags of fs that the command line left alone from environ,
// whose items are NAME=value. An empty value counts as none.
//
// A flag that the command line did set must not have a variable too. That is
// etcdctl's rule, and a good one: with either taking precedence, some user
// would change a cluster that they did not mean.
//
// A value that does not fit is an error that names the variable (etcdctl goes
// on with a value that nobody asked for). Variables that start like the others
// but belong to no flag get a line on warn, by name alone: the value could be a
// misspelt password.
func applyEnv(fs *pflag.FlagSet, environ []string, warn io.Writer) error {
	env := make(map[string]string)
	for _, kv := range environ {
		if name, value, ok := strings.Cut(kv, "="); ok && strings.HasPrefix(name, envPrefix) {
			env[name] = value
		}
	}
	// The API version was once chosen by this variable; 3 is what we speak.
	if env["ETCDCTL_API"] == "3" {
		delete(env, "ETCDCTL_API")
	}
	delete(env, envWatchKey)
	delete(env, envWatchEnd)
	var err error
	fs.VisitAll(func(f *pflag.Flag) {
		name := envName(f.Name)
		value, ok := env[name]
		if !ok || err != nil {
			return
		}
		delete(env, name)
		switch {
		case f.Changed:
			err = fmt.Errorf("conflict: environment variable %s is shadowed by the flag --%s: unset the variable or leave the flag out", name, f.Name)
		case value != "":
			if fs.Set(f.Name, value) != nil {
				err = badValue(name, value, f)
			}
		}
	})
	if err != nil {
		return err
	}
	unknown := make([]string, 0, len(env))
	for name := range env {
		unknown = append(unknown, name)
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		say(warn, "Warning: environment variable %s belongs to no flag\n", name)
	}
	return nil
}

// logFlags writes the flags as the variables that would set them, without
// secrets.
func logFlags(fs *pflag.FlagSet, w io.Writer) {
	fs.VisitAll(func(f *pflag.Flag) {
		value := f.Value.String()
		if secret(f.Name) && value != "" {
			value = "…"
		}
		say(w, "%s=%s\n", envName(f.Name), value)
	})
}
