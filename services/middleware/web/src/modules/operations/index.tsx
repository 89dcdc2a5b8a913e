export { JobList, JobPage } from './jobs'
export { HealthPage } from './health'
