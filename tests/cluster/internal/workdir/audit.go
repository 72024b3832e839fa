package workdir

// Records who wrote what, for tests that a controller at rest writes nothing.
// It leaves out reads, which are too many, and the API server's renewals of
// its own lease, which happen every ten seconds.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: None
    verbs: [get, list, watch]
  - level: None
    users: ["system:apiserver"]
    resources:
      - group: coordination.k8s.io
        resources: [leases]
  - level: Metadata
    verbs: [create, update, patch, delete, deletecollection]
`

// WriteAuditPolicy writes what the API server should log.
func (d Dir) WriteAuditPolicy() error { return writeFile(d.AuditPolicy(), []byte(auditPolicy)) }
