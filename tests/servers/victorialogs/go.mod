// VictoriaLogs as a program. Its own go.mod asks for a commit of VictoriaMetrics that has no tag; a release stands in for it.
module logchute.test/victorialogs

go 1.26.5

require (
	github.com/VictoriaMetrics/VictoriaLogs v1.51.1-0.20260624061259-dc94972a8708
	github.com/VictoriaMetrics/VictoriaMetrics v1.148.8
)
