// Package check loads a cluster with puts, as etcdctl's check commands do, and says
// whether it keeps up.
//
// A load is a number of clients, each of which sends its next put when the last one
// was answered, and either a rate that all of them keep to for some time, or a
// number of puts, sent as fast as the cluster takes them.
package check
