export { CatalogPage } from './catalog'
export { ConnectionForm } from './connection-form'
export { ConnectionList, ConnectionPage } from './connections'
export { MyConnections } from './my-connections'
