package workdir

// Who wrote what, for tests that claim a controller at rest writes nothing.
// Reads would drown it. So would the API server renewing its own lease, which
// it does every ten seconds for as long as it runs.
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
