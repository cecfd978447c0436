package main

import (
	"fmt"
	"regexp"
	"strings"
)

// What the second copy of a suite differs in from the first, all of it:
//
//  1. The import paths of clientv3's packages are getcd's.
//  2. A zap logger that is handed to the client becomes slog's (logger), since that is
//     the type of getcd's. The adapter is the one line of docs/guides/from-clientv3.md.
//  3. Packages of etcd's server that are programs on clientv3, and that the suite gives
//     clients to or takes them from, are copied into it and treated alike (moved): a
//     *clientv3.Client of the one package is none of the other's.

// clientPath matches the import path of clientv3, or the beginning of the path of
// one of its packages.
var clientPath = regexp.MustCompile(`"go\.etcd\.io/etcd/client/v3(["/])`)

// clientImports is the first rule.
func clientImports(source string) string {
	return clientPath.ReplaceAllString(source, `"github.com/getcd/getcd/clientv3$1`)
}

// logger is a zap logger expression of a suite that is passed to the client. It
// is adapted wherever it occurs in the file after the given text.
type logger struct {
	file       string // below the module's directory
	before     string
	expression string
}

// adapt is the second rule. adapter is the import path of the package that has
// Slog.
func (l logger) adapt(source, adapter string) (string, error) {
	if !strings.Contains(source, l.before+l.expression) {
		return "", fmt.Errorf("%s: %q is not there any more", l.file, l.before+l.expression)
	}
	source = strings.ReplaceAll(source, l.before+l.expression, l.before+"zaplog.Slog("+l.expression+")")
	if strings.Contains(source, `"`+adapter+`"`) {
		return source, nil
	}
	return addImport(source, adapter)
}

func addImport(source, path string) (string, error) {
	const list = "\nimport (\n"
	before, after, ok := strings.Cut(source, list)
	if !ok {
		return "", fmt.Errorf("there is no list of imports to add %s to", path)
	}
	return before + list + "\t" + `"` + path + `"` + "\n" + after, nil
}

// zaplog is the package that adapts the loggers.
const zaplog = `// Package zaplog makes zap loggers slog's.
package zaplog

import (
	"log/slog"

	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"
)

func Slog(lg *zap.Logger) *slog.Logger { return slog.New(zapslog.NewHandler(lg.Core())) }
`

// moved is a package of another module, which is copied to moved/DIR.
type moved struct {
	module, version string
	dir             string // below the module's directory
	why             string
}

// imports is the third rule: it replaces the package's import path with that of
// its copy.
func (m moved) imports(source, suiteModule string) string {
	return strings.ReplaceAll(source, `"`+m.module+"/"+m.dir+`"`, `"`+suiteModule+"/moved/"+m.dir+`"`)
}
