package main

import (
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// rpcErrors are rpctypes' errors by their names, without ErrGRPC. A test compares them
// with rpctypes' source.
var rpcErrors = map[string]error{
	"EmptyKey":                      rpctypes.ErrGRPCEmptyKey,
	"KeyNotFound":                   rpctypes.ErrGRPCKeyNotFound,
	"ValueProvided":                 rpctypes.ErrGRPCValueProvided,
	"LeaseProvided":                 rpctypes.ErrGRPCLeaseProvided,
	"TooManyOps":                    rpctypes.ErrGRPCTooManyOps,
	"DuplicateKey":                  rpctypes.ErrGRPCDuplicateKey,
	"InvalidClientAPIVersion":       rpctypes.ErrGRPCInvalidClientAPIVersion,
	"InvalidSortOption":             rpctypes.ErrGRPCInvalidSortOption,
	"Compacted":                     rpctypes.ErrGRPCCompacted,
	"FutureRev":                     rpctypes.ErrGRPCFutureRev,
	"NoSpace":                       rpctypes.ErrGRPCNoSpace,
	"LeaseNotFound":                 rpctypes.ErrGRPCLeaseNotFound,
	"LeaseExist":                    rpctypes.ErrGRPCLeaseExist,
	"LeaseTTLTooLarge":              rpctypes.ErrGRPCLeaseTTLTooLarge,
	"WatchCanceled":                 rpctypes.ErrGRPCWatchCanceled,
	"MemberExist":                   rpctypes.ErrGRPCMemberExist,
	"PeerURLExist":                  rpctypes.ErrGRPCPeerURLExist,
	"MemberNotEnoughStarted":        rpctypes.ErrGRPCMemberNotEnoughStarted,
	"MemberBadURLs":                 rpctypes.ErrGRPCMemberBadURLs,
	"MemberNotFound":                rpctypes.ErrGRPCMemberNotFound,
	"MemberNotLearner":              rpctypes.ErrGRPCMemberNotLearner,
	"LearnerNotReady":               rpctypes.ErrGRPCLearnerNotReady,
	"TooManyLearners":               rpctypes.ErrGRPCTooManyLearners,
	"ClusterIDMismatch":             rpctypes.ErrGRPCClusterIDMismatch,
	"RequestTooLarge":               rpctypes.ErrGRPCRequestTooLarge,
	"RequestTooManyRequests":        rpctypes.ErrGRPCRequestTooManyRequests,
	"RootUserNotExist":              rpctypes.ErrGRPCRootUserNotExist,
	"RootRoleNotExist":              rpctypes.ErrGRPCRootRoleNotExist,
	"UserAlreadyExist":              rpctypes.ErrGRPCUserAlreadyExist,
	"UserEmpty":                     rpctypes.ErrGRPCUserEmpty,
	"UserNotFound":                  rpctypes.ErrGRPCUserNotFound,
	"RoleAlreadyExist":              rpctypes.ErrGRPCRoleAlreadyExist,
	"RoleNotFound":                  rpctypes.ErrGRPCRoleNotFound,
	"RoleEmpty":                     rpctypes.ErrGRPCRoleEmpty,
	"AuthFailed":                    rpctypes.ErrGRPCAuthFailed,
	"PermissionNotGiven":            rpctypes.ErrGRPCPermissionNotGiven,
	"PermissionDenied":              rpctypes.ErrGRPCPermissionDenied,
	"RoleNotGranted":                rpctypes.ErrGRPCRoleNotGranted,
	"PermissionNotGranted":          rpctypes.ErrGRPCPermissionNotGranted,
	"AuthNotEnabled":                rpctypes.ErrGRPCAuthNotEnabled,
	"InvalidAuthToken":              rpctypes.ErrGRPCInvalidAuthToken,
	"InvalidAuthMgmt":               rpctypes.ErrGRPCInvalidAuthMgmt,
	"AuthOldRevision":               rpctypes.ErrGRPCAuthOldRevision,
	"NoLeader":                      rpctypes.ErrGRPCNoLeader,
	"NotLeader":                     rpctypes.ErrGRPCNotLeader,
	"LeaderChanged":                 rpctypes.ErrGRPCLeaderChanged,
	"NotCapable":                    rpctypes.ErrGRPCNotCapable,
	"Stopped":                       rpctypes.ErrGRPCStopped,
	"Timeout":                       rpctypes.ErrGRPCTimeout,
	"TimeoutDueToLeaderFail":        rpctypes.ErrGRPCTimeoutDueToLeaderFail,
	"TimeoutDueToConnectionLost":    rpctypes.ErrGRPCTimeoutDueToConnectionLost,
	"TimeoutWaitAppliedIndex":       rpctypes.ErrGRPCTimeoutWaitAppliedIndex,
	"Unhealthy":                     rpctypes.ErrGRPCUnhealthy,
	"Corrupt":                       rpctypes.ErrGRPCCorrupt,
	"NotSupportedForLearner":        rpctypes.ErrGRPCNotSupportedForLearner,
	"BadLeaderTransferee":           rpctypes.ErrGRPCBadLeaderTransferee,
	"WrongDowngradeVersionFormat":   rpctypes.ErrGRPCWrongDowngradeVersionFormat,
	"InvalidDowngradeTargetVersion": rpctypes.ErrGRPCInvalidDowngradeTargetVersion,
	"ClusterVersionUnavailable":     rpctypes.ErrGRPCClusterVersionUnavailable,
	"DowngradeInProcess":            rpctypes.ErrGRPCDowngradeInProcess,
	"NoInflightDowngrade":           rpctypes.ErrGRPCNoInflightDowngrade,
	"Canceled":                      rpctypes.ErrGRPCCanceled,
	"DeadlineExceeded":              rpctypes.ErrGRPCDeadlineExceeded,
}

// anchor is where errors.md tells of an error.
func anchor(name string) string { return strings.ToLower(name) }
