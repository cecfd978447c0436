package dropin_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The bench's results for a program that has changed one import path are only
// valid if the rest of the program is identical.
func TestOnlyTheImportPathDiffers(t *testing.T) {
	read := func(file string) []string {
		t.Helper()
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(text), "\n")
		for i, l := range lines {
			if strings.HasPrefix(l, "package ") {
				return lines[i+1:]
			}
		}
		t.Fatalf("%s has no package clause", file)
		return nil
	}
	const etcd, getcd = `clientv3 "go.etcd.io/etcd/client/v3"`, `clientv3 "github.com/getcd/getcd/clientv3"`
	const etcdLocks, getcdLocks = `"go.etcd.io/etcd/client/v3/concurrency"`, `"github.com/getcd/getcd/clientv3/concurrency"`
	want := read("../etcdclient/client.go")
	for i, l := range want {
		want[i] = strings.NewReplacer(etcd, getcd, etcdLocks, getcdLocks).Replace(l)
	}
	if diff := cmp.Diff(want, read("client.go")); diff != "" {
		t.Errorf("go generate was not run (-want +got):\n%s", diff)
	}
}
