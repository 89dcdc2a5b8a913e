export { EditorPage } from './page'
