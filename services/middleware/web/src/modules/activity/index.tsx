export { EventList } from './events'
export { SessionList } from './sessions'
export { StatementList, StatementPage } from './statements'
