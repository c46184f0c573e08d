module probity.dev/tests/cluster/cron

go 1.26.0

require (
	github.com/netresearch/go-cron v0.15.0
	github.com/robfig/cron v1.2.0
	github.com/robfig/cron/v3 v3.0.1
)
