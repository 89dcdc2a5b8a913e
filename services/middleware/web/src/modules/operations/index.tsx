export { JobList, JobPage } from './jobs'
