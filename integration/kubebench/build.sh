#!/bin/sh
# Builds a kube-apiserver from its published modules, on clientv3 or on getcd:
#
#	integration/kubebench/build.sh clientv3|getcd OUTPUT
#
# For getcd the import paths of clientv3 are changed in k8s.io/apiserver, and the zap
# logger, which is not slog's, is left out; nothing else. Both have the same
# dependencies. It takes some minutes.
set -eu

kubernetes=v1.37.2 staging=v0.37.2 etcd=v3.7.3 grpc=v1.85.0
client=$1
case $2 in /*) output=$2 ;; *) output=$PWD/$2 ;; esac
root=$(cd "$(dirname "$0")/../.." && pwd)
dir=$root/bin/kubebench/$client
export GOWORK=off GOFLAGS=-mod=mod

rm -rf "$dir" && mkdir -p "$dir" && cd "$dir"
go mod init kubebench >/dev/null 2>&1
module() { # prints where a module is
	go mod download -json "$1" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p'
}
k8s=$(module k8s.io/kubernetes@$kubernetes)
cp -r "$(module k8s.io/apiserver@$staging)" apiserver
cp "$k8s/cmd/kube-apiserver/apiserver.go" main.go
cp "$k8s/go.mod" "$k8s/go.sum" .
chmod -R u+w .

# Replacements count in the main module alone: what is staged in the repository of
# Kubernetes is published as a module of its own.
go mod edit -module kubebench -require k8s.io/kubernetes@$kubernetes
for m in $(sed -n 's#^\t\(k8s.io/[^ ]*\) => ./staging/.*#\1#p' "$k8s/go.mod"); do
	go mod edit -replace "$m=$m@$staging"
done
go mod edit -replace k8s.io/apiserver=./apiserver -require google.golang.org/grpc@$grpc
for m in api client/pkg client server pkg; do
	go mod edit -require "go.etcd.io/etcd/$m/v3@$etcd"
done
if [ "$client" = getcd ]; then
	grep -rlZ --include='*.go' go.etcd.io/etcd/client/v3 apiserver |
		xargs -0 sed -i 's#"go.etcd.io/etcd/client/v3\(["/]\)#"github.com/getcd/getcd/clientv3\1#'
	sed -i '/Logger: *etcd3ClientLogger,/d' apiserver/pkg/storage/storagebackend/factory/etcd3.go
	for mod in . apiserver; do
		(cd $mod && go mod edit -require github.com/getcd/getcd@v0.0.0 -replace "github.com/getcd/getcd=$root")
	done
fi
go mod tidy
go build -o "$output" .
