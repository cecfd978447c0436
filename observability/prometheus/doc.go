// Package getcdprom shows clients to Prometheus: calls by method and outcome, their latency,
// attempts, hedges, failovers, ambiguous writes, the state of each endpoint, how far watches
// are behind, and how near leases are to their deadlines.
//
//	metrics := getcdprom.New("orders")
//	prometheus.MustRegister(metrics)
//	cfg.Observers = append(cfg.Observers, metrics)
//
// A program with package clientv3 sets Observers in the function of clientv3.NewWith.
//
// All names begin with getcd_client_, and every metric has the label client, which is the name
// given to New. docs/reference/observability.md lists them, and observability/grafana has a
// dashboard. The labels grpc_service, grpc_method and grpc_code have the values of etcd's own
// metrics, such as grpc_server_handled_total.
//
// # How many series
//
// Labels have no keys, users or texts of errors. There are as many series as methods that the
// program calls, times the codes and outcomes that occur; a histogram of 16 buckets for each
// method; and 8 for each endpoint that the client knows at the time.
package getcdprom
