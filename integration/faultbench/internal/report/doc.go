// Package report turns what the fault bench measured into a table, JSON and
// pictures.
//
// All times are counted from the fault's first moment; those before it are
// negative. A Cell is one fault done to one cluster, a Series what one client's
// workers went through meanwhile, and a Row the numbers of a series.
package report
