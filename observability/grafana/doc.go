// Package grafana has a dashboard for Grafana, getcd.json, which shows the metrics of
// github.com/getcd/getcd/observability/prometheus. Import it as it is (Dashboards, New, Import).
// It asks for the data source and shows all clients, or those that are chosen.
package grafana
